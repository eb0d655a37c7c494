// The 256 bytes as tokens: id = byte; special tokens follow from 256 on. Nothing to learn. Read first:
// tokenizer.h.
#pragma once

#include "data/train_tokenizer.h"
#include "engine/base/json.h"

namespace data {

class ByteTokenizer final : public Tokenizer {
 public:
  explicit ByteTokenizer(std::vector<AddedToken> special);
  static std::unique_ptr<TextCounter> counter();
  static std::unique_ptr<Tokenizer> from_json(const engine::SortedJson& json, const std::string& what);

  TokenizerKind kind() const override { return TokenizerKind::byte; }
  size_t vocab_size() const override { return 256 + special_tokens().size(); }
  std::string to_json() const override;

 protected:
  void encode_ordinary(std::string_view text, int threads, std::vector<TokenId>& out) const override;
  void decode_ids(std::span<const TokenId> ids, std::string& out) const override;
};

}  // namespace data
