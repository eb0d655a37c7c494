// Read first: step_training.h.
#include "train/bench/step_training.h"

#include <algorithm>

#include "engine/base/clock.h"
#include "models/init.h"
#include "train/run_data.h"

namespace train {

using models::Objective;

models::ModelConfig config_of(const StepWork& work, const std::string& norms) {
  models::ModelConfig c;
  c.objective = work.objective;
  c.layers = work.layers, c.width = work.width, c.heads = work.heads, c.ffn_width = 4 * work.width;
  c.vocab_size = work.vocabulary;
  c.context = std::max<int64_t>(work.length, 1024);
  c.activation = work.objective == Objective::mlm ? nn::Activation::gelu : nn::Activation::gelu_tanh;
  models::set_norms(c, norms);
  return models::checked(c);
}

MicroBatch random_batch(const StepWork& work, const models::ModelConfig& config, engine::Rng& rng,
                        int64_t scored) {
  data::Batch batch{.rows = work.rows, .length = work.length};
  const int64_t tokens = work.rows * work.length;
  // Where steps are counted, all ids are different ones: rows of the table that are touched grow evenly then.
  const auto id = [&](int64_t i) {
    return int32_t(scored > 0 ? i * 7919 % work.vocabulary : int64_t(rng.uniform() * double(work.vocabulary)));
  };
  const auto counts = [&](int64_t i) {
    if (work.objective == Objective::clm) return true;
    return scored > 0 ? i * scored / tokens != (i + 1) * scored / tokens : i == 0 || rng.uniform() < kMasked;
  };
  for (int64_t i = 0; i < tokens; ++i) {
    const bool counted = counts(i);
    batch.ids.push_back(id(i));
    batch.labels.push_back(counted ? id(i) : data::kNotScored);
    batch.scored += counted;
  }
  return micro_batch(config, batch, 0);
}

Training::Training(const StepWork& work, const std::string& norms, const nn::Precision& precision)
    : Training(work, norms, precision, alone_, {}) {}

Training::Training(const StepWork& work, const std::string& norms, const nn::Precision& precision,
                   engine::Communicator& communicator, const ParallelConfig& parallel)
    : model_(config_of(work, norms), precision),
      shards_(model_.parameters(), communicator, parallel),
      optimizer_(model_.parameters(), {}, shards_.pieces()),
      update_(model_, optimizer_, shards_, nullptr, {.clip = 1}) {
  models::initialise(model_, "", 1);
  shards_.deal_values();
}

StepTimes Training::step(const MicroBatch& batch) {
  const double start = engine::now();
  const Update::Gradients gradients = update_.gradients({&batch, 1}, shards_.communicator().rank());
  shards_.communicator().end_if_any(gradients.agreement.troubles);
  update_.apply(gradients, 1e-4, {});
  engine::memory_of(model_.parameters().precision().device).synchronize();
  const double forward = gradients.forward_seconds, backward = gradients.backward_seconds;
  return {forward, backward, engine::now() - start - forward - backward};
}

}  // namespace train
