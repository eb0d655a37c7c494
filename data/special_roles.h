// The roles that special tokens play: what begins a text, ends it, pads it, is masked, stands for the
// unknown.
//
// A tokenizer's own files say them (tokenizer_config.json, special_tokens_map.json: "bos_token", …; the
// post-processor's template says what a text begins with). Otherwise a token's name does.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace data {

using TokenId = uint32_t;
constexpr TokenId no_token = 0xFFFFFFFF;

struct SpecialRoles {
  TokenId begin = no_token;    // <s>, [CLS], <bos>, <|begin_of_text|>
  TokenId end = no_token;      // <|endoftext|>, </s>, [SEP], <|end_of_text|>, <eos>
  TokenId pad = no_token;      // <pad>, [PAD]
  TokenId mask = no_token;     // <mask>, [MASK]
  TokenId unknown = no_token;  // <unk>, [UNK]
};

/// Fills the roles that are not taken yet, by the names that tokens commonly have. `id_of`: the id of a
/// special token, or no_token.
void fill_roles_by_name(SpecialRoles& roles, const std::function<TokenId(std::string_view)>& id_of);

}  // namespace data
