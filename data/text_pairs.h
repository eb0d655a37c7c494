// One text, or two of them, as a row for a sentence encoder: special tokens around and between them, and what is
// cut from a pair that is too long.
//
//   <s> A </s>          <s> A </s></s> B </s>          [CLS] A [SEP] B [SEP]
//
// Read first: tokenizer.h.
#pragma once

#include <span>
#include <vector>

#include "data/tokenizer.h"

namespace data {

/// What stands before the first text, between the two, and behind the last.
struct PairForm {
  std::vector<TokenId> before, between, after;
  TokenId pad = no_token;

  int64_t special(bool two) const {
    return int64_t(before.size() + after.size() + (two ? between.size() : 0));
  }
};

/// The tokenizer's own form, by its post-processor; else RoBERTa's (BERT's where the tokens are named [CLS] and
/// [SEP]). Error: it has no token that begins a text, ends one or pads; `what` names the tokenizer.
PairForm pair_form(const Tokenizer& tokenizer, const std::string& what);

/// How many of the first n and m tokens stay where both together have room for `room`: the longer one is cut
/// first, on a tie the second. (longest_first of Hugging Face's tokenizers: not a token at a time, so an odd
/// room goes to the longer one.)
struct PairLengths {
  int64_t first, second;
};
PairLengths longest_first(int64_t n, int64_t m, int64_t room);

/// A row of at most `most` tokens (0: no limit), special ones included. `second`: null for a single text.
struct TextRow {
  std::vector<int32_t> ids;
  int64_t second = 0;  // where the second text begins; 0: there is none
};
TextRow text_row(const PairForm& form, std::span<const TokenId> first, const std::vector<TokenId>* second,
                 int64_t most);

}  // namespace data
