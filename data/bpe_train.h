// Learning byte-pair merges from text: join the most frequent adjacent pair of tokens, again and again.
//
// The tie rule: among pairs of equal count the one with the smaller left id, then the smaller right id (ids:
// special tokens, the 256 bytes in the order of their characters in files, then merges). It is Hugging Face's
// rule, so that both learn the same merges from the same text; it depends neither on threads nor on the order
// of documents. Read first: bpe.h.
#pragma once

#include "data/bpe.h"
#include "data/train_tokenizer.h"

namespace data {

struct PieceCount {
  std::string_view piece;
  uint64_t count;
};

class PieceCounter;

/// How often each distinct piece stands in texts, which need not live on: a piece is copied when it is first
/// met.
class PieceCounts {
 public:
  /// Counts on `threads` threads; the result does not depend on them.
  explicit PieceCounts(int threads);
  ~PieceCounts();
  void add(std::span<const std::string_view> texts);
  /// In byte order; views of what this object holds.
  std::vector<PieceCount> sorted();

 private:
  int threads_;
  std::vector<std::unique_ptr<PieceCounter>> counters_;  // one for each thread that counted
};

/// Counts pieces, and learns a tokenizer from them.
std::unique_ptr<TextCounter> count_for_bpe(int threads);

/// The model that the pieces give.
BpeModel learn_bpe(const std::vector<PieceCount>& pieces, const TrainOptions& options);
/// The same of texts that are all there.
BpeModel learn_bpe(std::span<const std::string_view> texts, const TrainOptions& options);

}  // namespace data
