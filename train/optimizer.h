// The optimizer of a run: moments in flat arenas, one kernel call for all parameters. Read first:
// engine/ops/optimizer.h, nn/parameters.h.
#pragma once

#include "engine/io/safetensors.h"
#include "engine/ops/optimizer.h"
#include "nn/parameters.h"
#include "train/config.h"

namespace train {

class Optimizer {
 public:
  Optimizer(nn::Parameters& parameters, const OptimConfig& config);

  /// One update from the gradient arena, each gradient multiplied by `factor` first; refreshes the compute
  /// copies.
  void step(double lr, double factor);
  /// The same with the factor that stands in `scalars`; nothing where the gradients are not finite.
  void step(double lr, const engine::ScalarsInMemory& scalars);
  /// Updates done so far.
  int64_t updates() const { return updates_; }

  /// Moments and counters, for checkpoints.
  engine::NamedTensors state() const;
  void restore(const engine::Safetensors& file);

 private:
  void step(double lr, double factor, const engine::ScalarsInMemory* scalars);
  /// Whether the optimizer changes f32 (or f64) values; not so in memory-efficient f16.
  bool has_masters() const {
    return engine::compute_dtype(parameters_.precision().master) == parameters_.precision().master;
  }

  nn::Parameters& parameters_;
  OptimConfig config_;
  std::vector<engine::DecaySpan> spans_;
  engine::Tensor first_, second_;  // m and v; the momentum buffer is first_
  int64_t updates_ = 0;
  double previous_lr_ = 0;
};

/// The weight decay of a parameter group under a config's rule.
double group_decay(const OptimConfig& config, nn::ParameterGroup group);

}  // namespace train
