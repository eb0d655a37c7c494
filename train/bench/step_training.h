// The model and the batches of `normlab bench step`, in training. Read first: step_bench.h, update.h.
#pragma once

#include "train/bench/step_bench.h"
#include "train/update.h"

namespace train {

models::ModelConfig config_of(const StepWork& work, const std::string& norms);

/// Random ids and labels; a masked LM is scored at every position with probability kMasked. Unless `scored`
/// is 0: the same ids every time, and a masked LM scored at so many positions.
constexpr double kMasked = 0.15;
MicroBatch random_batch(const StepWork& work, const models::ModelConfig& config, engine::Rng& rng,
                        int64_t scored = 0);

struct StepTimes {
  double forward, backward, update;
  double total() const { return forward + backward + update; }
};

/// A model in training.
class Training {
 public:
  Training(const StepWork& work, const std::string& norms, const nn::Precision& precision);
  Training(const StepWork& work, const std::string& norms, const nn::Precision& precision,
           engine::Communicator& communicator, const ParallelConfig& parallel);

  StepTimes step(const MicroBatch& batch);
  const models::ModelConfig& config() const { return model_.config(); }
  const nn::Parameters& parameters() const { return model_.parameters(); }

 private:
  engine::Communicator alone_;
  models::Transformer model_;
  Shards shards_;
  Optimizer optimizer_;
  Update update_;
};

}  // namespace train
