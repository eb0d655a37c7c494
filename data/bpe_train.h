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

/// Counts of distinct pieces, in byte order. Counted on `threads` threads; the result does not depend on
/// them.
struct PieceCount {
  std::string_view piece;  // a view of the texts
  uint64_t count;
};
std::vector<PieceCount> count_pieces(std::span<const std::string_view> texts, int threads);

/// The model that the texts give; train_bpe() makes a tokenizer of it.
BpeModel learn_bpe(std::span<const std::string_view> texts, const TrainOptions& options);
std::unique_ptr<Tokenizer> train_bpe(std::span<const std::string_view> texts, const TrainOptions& options);

}  // namespace data
