// Rows for causal language models, cut from one stream of tokens; attention crosses document boundaries.
//
// `preceding` (the default) is fairseq's form: row b scores tokens [bT, bT+T), each from the token before it;
// the stream's first token is predicted from the separator, so every token is scored once. `next` shifts the
// cut by one: row b reads [bT, bT+T) and scores [bT+1, bT+T+1); the stream's first token is never scored. It
// is what a loop "x = s[i:i+T], y = s[i+1:i+T+1]" does, and the form to compare perplexities with. The last
// row is short: padded with the separator, the padding not scored.
#pragma once

#include <memory>

#include "data/batches.h"
#include "data/token_stream.h"

namespace data {

enum class Targets { preceding, next };
enum class LastRow { keep, drop };  // drop: only full rows

/// Consecutive blocks of `length` tokens.
std::shared_ptr<const Rows> clm_blocks(std::shared_ptr<const TokenStream> tokens, int64_t length,
                                       Targets targets = Targets::preceding, LastRow last = LastRow::keep);

/// nanoGPT's sampling: every row begins at a uniformly drawn token and scores the `length` tokens after it.
/// An "epoch" is as many rows as the stream has blocks.
std::shared_ptr<const Rows> clm_random_crops(std::shared_ptr<const TokenStream> tokens, int64_t length,
                                             uint64_t seed);

}  // namespace data
