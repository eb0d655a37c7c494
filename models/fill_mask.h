// What a masked LM puts in place of each mask. Read first: transformer.h, generation.h (Candidate).
#pragma once

#include <span>

#include "models/generation.h"

namespace models {

struct FilledMask {
  int64_t position = 0;               // in the ids
  std::vector<Candidate> candidates;  // most likely first; probabilities over the whole vocabulary
};

struct FillOptions {
  int32_t mask = 0;        // the id that stands for a missing token
  int64_t top = 5;         // candidates a mask
  int64_t vocabulary = 0;  // ids from here on are padding; 0: none
};

/// One entry a mask, in order. Errors: no mask in `ids`, not a masked LM, too many tokens for the model.
std::vector<FilledMask> fill_mask(const Transformer& model, std::span<const int32_t> ids,
                                  const FillOptions& options);

}  // namespace models
