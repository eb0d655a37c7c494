// The rules by which `normlab train --text` chooses: vocabulary, context, size, batch, rates and budget, from
// the text and the machine. Plain arithmetic; text_run.h reads the text and uses it.
//
//   vocabulary  a power of two near a token for each 768 bytes, from 512 to 16384 (masked models: 288, which
//               leaves the unigram plateau sooner)
//   time        budget.seconds as given, else five minutes
//   size        the largest rung of a ladder that reads 8 tokens a matrix parameter in that time, at the
//               speed that expectation.h foresees, reading the text 30 times at most, and that fits into
//               memory. Sizes that are given stand in every rung; a preset has all of them
//   budget      that time, or 30 readings of the text, whichever is over first (budget.steps, tokens or
//               epochs as given replace both); dropout 0.1 above 4 readings
//   batch       so that there are about 2,000 updates of 512 to 32,768 tokens, where data.batch and
//               data.accumulate leave a choice
//   rate        3e-3 up to width 192, then falling as 1 / width; warm-up over a fiftieth of the updates
//   the rest    20 validations, checkpoints every minute, 20 records by layer, 5 samples
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "models/config.h"

namespace train {

struct TextFacts {
  int64_t bytes = 0, documents = 0;      // of the text to train on
  int64_t tokens = 0, valid_tokens = 0;  // in this tokenizer
  int64_t vocabulary = 0;
  models::Objective objective = models::Objective::clm;
  double seconds = 0;  // budget.seconds; 0: the default
  /// budget.steps, budget.tokens, budget.epochs, optim.lr; 0: not given.
  double updates = 0, most_tokens = 0, epochs = 0, rate = 0;
  int64_t rows = 0, accumulate = 0;  // data.batch, data.accumulate; 0: not given
  engine::Json model;                // what is given of the model section; null: nothing
  int64_t most_context = 0;          // positions of a row that the user's settings leave; 0: any
  double peak_flops = 0;             // of all ranks, which reach expected_share() of it (expectation.h)
  double memory = 0;                 // bytes that a rank may use; 0: not known
  int64_t ranks = 1;                 // that share an update
};

/// Least text that there is anything to learn from, in bytes and in tokens.
inline constexpr int64_t kLeastText = 2048, kLeastTokens = 128;

int64_t vocabulary_for(int64_t bytes, models::Objective objective);

struct TextPlan {
  engine::Json config;               // keys of a training config; data.* folders are the caller's
  std::vector<std::string> reasons;  // one line each, for people
};
/// `fixed`: the model where it is given (--from), else null; then only batch, rates and budget are chosen.
TextPlan plan_text(const TextFacts& facts, const models::ModelConfig* fixed);

}  // namespace train
