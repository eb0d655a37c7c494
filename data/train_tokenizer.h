// Learning a tokenizer from text. Read first: tokenizer.h. Read next: bpe_train.h.
#pragma once

#include <memory>

#include "data/tokenizer.h"

namespace data {

/// What to learn from text; each kind uses what applies to it.
struct TrainOptions {
  TokenizerKind kind = TokenizerKind::bpe;
  size_t vocab_size = 0;             // with special tokens; 0: no limit (char, word) or 32768 (bpe)
  uint64_t min_frequency = 0;        // rarer pairs, characters or words are left out; 0: 2 for bpe, else 1
  std::vector<std::string> special;  // special tokens, in the order of their ids
  int threads = 0;
};

/// Learns from texts (documents are never joined).
std::unique_ptr<Tokenizer> train_tokenizer(std::span<const std::string_view> texts,
                                           const TrainOptions& options);

/// "bpe", "byte", "char" or "word": the kinds that are learned here.
TokenizerKind parse_trained_kind(const std::string& name);

}  // namespace data
