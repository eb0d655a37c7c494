// Read first: special_roles.h.
#include "data/special_roles.h"

#include <initializer_list>

namespace data {

void fill_roles_by_name(SpecialRoles& roles, const std::function<TokenId(std::string_view)>& id_of) {
  const auto fill = [&](TokenId& role, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names)
      if (role == no_token) role = id_of(name);
  };
  fill(roles.begin, {"<s>", "[CLS]", "<bos>", "<|begin_of_text|>"});
  fill(roles.end, {"<|endoftext|>", "</s>", "[SEP]", "<|end_of_text|>", "<eos>"});
  fill(roles.pad, {"<pad>", "[PAD]"});
  fill(roles.mask, {"<mask>", "[MASK]"});
  fill(roles.unknown, {"<unk>", "[UNK]"});
}

}  // namespace data
