// The optimizer of a run: moments in flat tensors, one kernel call for each stretch of parameters that share a
// weight decay. It changes the pieces of the arenas that it is given: one of several ranks has its own
// (shards.h). Read first: engine/ops/optimizer.h, nn/parameters.h.
#pragma once

#include "engine/io/safetensors.h"
#include "nn/parameters.h"
#include "train/config.h"

namespace train {

class Optimizer {
 public:
  /// Of everything, or of these pieces.
  Optimizer(nn::Parameters& parameters, const OptimConfig& config);
  Optimizer(nn::Parameters& parameters, const OptimConfig& config, const std::vector<nn::Piece>& pieces);

  /// One update from the gradient arena, each gradient multiplied by `factor` first; refreshes the compute
  /// copies.
  void step(double lr, double factor);
  /// Updates done so far.
  int64_t updates() const { return updates_; }

  /// The moments of its pieces, by the names that they have in checkpoints.
  engine::NamedTensors moments() const;
  /// What else a checkpoint keeps: updates and the last learning rate.
  std::vector<double> counters() const { return {double(updates_), previous_lr_}; }
  void set_counters(const std::vector<double>& counters);
  /// Error: a checkpoint's file is of another optimizer.
  void check_file(const engine::Safetensors& file) const;

 private:
  struct Stretch {
    int64_t begin, end, at;  // at: in the moments
    double weight_decay;
  };
  void step_stretch(const Stretch& s, double lr, double factor);
  /// Whether the optimizer changes f32 (or f64) values; not so in memory-efficient f16.
  bool has_masters() const {
    return engine::compute_dtype(parameters_.precision().master) == parameters_.precision().master;
  }

  nn::Parameters& parameters_;
  OptimConfig config_;
  std::vector<Stretch> stretches_;
  engine::Tensor first_, second_;  // m and v; the momentum buffer is first_
  int64_t updates_ = 0;
  double previous_lr_ = 0;
};

/// The weight decay of a parameter group under a config's rule.
double group_decay(const OptimConfig& config, nn::ParameterGroup group);

}  // namespace train
