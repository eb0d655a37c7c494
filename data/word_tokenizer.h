// Words as tokens, the way WikiText-103 is scored: words are what white space separates, and each line ends
// with <eos>.
//
// Ids: <unk> = 0, <eos> = 1, further special tokens, then words by falling frequency (byte order among
// equals). A word outside the vocabulary is <unk>; so is "<unk>" written in the text; other special tokens
// are found, on request, as whole words. A last line without a newline still gets its <eos>. Decoding puts
// one space between words and a newline for <eos>: the original spacing is not kept. Read first: tokenizer.h.
#pragma once

#include <unordered_map>

#include "data/train_tokenizer.h"
#include "engine/base/json.h"

namespace data {

class WordTokenizer final : public Tokenizer {
 public:
  WordTokenizer(std::vector<AddedToken> special, std::vector<std::string> words);
  static std::unique_ptr<TextCounter> counter();
  static std::unique_ptr<Tokenizer> from_json(const engine::SortedJson& json, const std::string& what);

  TokenizerKind kind() const override { return TokenizerKind::word; }
  size_t vocab_size() const override { return special_tokens().size() + words_.size(); }
  std::string to_json() const override;

 protected:
  void encode_ordinary(std::string_view text, int threads, std::vector<TokenId>& out) const override;
  void encode_recognising(std::string_view text, int threads, std::vector<TokenId>& out) const override;
  void decode_ids(std::span<const TokenId> ids, std::string& out) const override;

 private:
  std::vector<std::string> words_;
  std::unordered_map<std::string_view, TokenId> ids_;  // views of words_
};

}  // namespace data
