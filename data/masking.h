// Dynamic masking of BERT and RoBERTa, as fairseq's MaskTokensDataset does it (docs/13-data.md has the rule
// in words).
//
// The draw is a pure function of (seed, epoch, index): a new mask every epoch, the same one after a restart.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace data {

/// Where words begin at a token of this id: nowhere, before it, behind it, or both.
enum class WordEdge : uint8_t { inside = 0, before = 1, behind = 2, both = 3 };

struct MaskRule {
  double select = 0.15;  // of all positions, special tokens included
  double keep = 0.10;    // of the selected: left as they are
  double random = 0.10;  // of the selected: replaced by a random id; the others become `mask`
  int32_t mask = 0;
  int32_t vocabulary = 0;
  std::vector<int32_t>
      not_random;  // ids that a random replacement is never; `mask` itself need not be among them
  /// Whole-word masking: how each id stands in words (word_edges of whole_words.h). Words are selected
  /// instead of positions, and the tokens of a word share one fate. Empty: off.
  std::vector<WordEdge> words;
};

/// Checks the rule once, at start-up, and sorts `not_random`.
MaskRule checked(MaskRule rule);

/// Selects positions of `ids`, writes the labels (the original id there, kNotScored elsewhere) and replaces
/// the ids.
void mask_tokens(const MaskRule& rule, uint64_t seed, int64_t epoch, int64_t index, std::span<int32_t> ids,
                 std::span<int32_t> labels);

}  // namespace data
