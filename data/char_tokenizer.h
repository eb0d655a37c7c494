// Characters (code points) as tokens: special tokens first, then the characters of the training text, sorted.
//
// A character that the vocabulary lacks becomes "<unk>" where that special token exists, and is an error
// elsewhere. Read first: tokenizer.h.
#pragma once

#include <unordered_map>

#include "data/train_tokenizer.h"
#include "engine/base/json.h"

namespace data {

class CharTokenizer final : public Tokenizer {
 public:
  /// `characters`: code points, ascending.
  CharTokenizer(std::vector<AddedToken> special, std::vector<uint32_t> characters);
  static std::unique_ptr<TextCounter> counter();
  static std::unique_ptr<Tokenizer> from_json(const engine::SortedJson& json, const std::string& what);

  TokenizerKind kind() const override { return TokenizerKind::character; }
  size_t vocab_size() const override { return special_tokens().size() + characters_.size(); }
  std::string to_json() const override;

 protected:
  void encode_ordinary(std::string_view text, int threads, std::vector<TokenId>& out) const override;
  void decode_ids(std::span<const TokenId> ids, std::string& out) const override;

 private:
  std::vector<uint32_t> characters_;
  std::unordered_map<uint32_t, TokenId> ids_;
};

}  // namespace data
