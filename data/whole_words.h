// Which tokens begin and end words, for whole-word masking.
//
// A word is what white space bounds, as in fairseq's mask_whole_words with GPT-2's pieces: "don't," is one
// word of several tokens, the space before a word belongs to it. Two differences, both at line starts, where
// a word has no space before it: fairseq lets it belong to the token before (a </s>, say); here special
// tokens and line ends are words of their own and a word begins behind them. Read first: masking.h,
// tokenizer.h.
#pragma once

#include "data/masking.h"
#include "data/tokenizer.h"

namespace data {

/// One entry for each id.
std::vector<WordEdge> word_edges(const Tokenizer& tokenizer);

}  // namespace data
