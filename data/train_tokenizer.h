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

/// What a kind of tokenizer counts in texts, and what it makes of the counts. Texts need not live on:
/// whatever is kept of them is copied. The result depends neither on their order nor on how they are shared
/// among calls.
class TextCounter {
 public:
  virtual ~TextCounter() = default;
  virtual void count(std::span<const std::string_view> texts) = 0;
  virtual std::unique_ptr<Tokenizer> learn(const TrainOptions& options) = 0;
};

/// Learns from documents that come one after another (they are never joined). Memory is needed for what is
/// counted, such as distinct words, and for some documents at a time.
class TokenizerTrainer {
 public:
  /// Error: special tokens that cannot be.
  explicit TokenizerTrainer(TrainOptions options);
  void add(std::string&& document);
  int64_t bytes() const { return bytes_; }
  /// For a size that depends on how much text there is.
  void set_vocab_size(size_t tokens) { options_.vocab_size = tokens; }
  std::unique_ptr<Tokenizer> learn();

 private:
  void count_batch();

  TrainOptions options_;
  std::unique_ptr<TextCounter> counter_;
  std::vector<std::string> batch_;  // documents that are counted together, by all threads
  size_t batch_bytes_ = 0;
  int64_t bytes_ = 0;
};

/// Learns from texts that are all there.
std::unique_ptr<Tokenizer> train_tokenizer(std::span<const std::string_view> texts,
                                           const TrainOptions& options);

/// "bpe", "byte", "char" or "word": the kinds that are learned here.
TokenizerKind parse_trained_kind(const std::string& name);

}  // namespace data
