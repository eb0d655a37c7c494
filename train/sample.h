// A short text that a model writes, for people to look at: at the end of `train --text`, and now and then
// during a run (log.samples). Read first: models/generation.h, models/fill_mask.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "models/transformer.h"

namespace train {

struct SampleOptions {
  std::string prompt;  // empty: from the beginning of a text
  /// Of a masked model, in place of the prompt: tokens as they were trained on, special ones among them.
  std::vector<int32_t> ids;
  int64_t tokens = 120;
  double temperature = 0.8;
  int64_t top_k = 50;
  uint64_t seed = 1;
};

/// Of a causal model: the prompt and what it goes on with. Of a masked one: the prompt with every seventh
/// token masked, and the same filled in. Valid UTF-8.
std::string sample_text(const models::Transformer& model, const data::Tokenizer& tokenizer,
                        const SampleOptions& options);

}  // namespace train
