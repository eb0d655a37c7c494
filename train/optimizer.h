// The optimizer of a run: moments in flat tensors, one kernel call for each piece of the arenas that it is given: all
// of them, or one of several ranks' own (shards.h). Read first: engine/ops/optimizer.h, nn/parameters.h.
#pragma once

#include "engine/io/safetensors.h"
#include "engine/ops/optimizer.h"
#include "nn/parameters.h"
#include "train/config.h"

namespace train {

/// Which moments an optimizer keeps: m or the buffer of the momentum, and v.
struct Moments {
  bool first, second;
};
Moments kept_moments(const OptimConfig& config);
/// Error: a checkpoint's file is of an optimizer that keeps others.
void check_moments(const OptimConfig& config, const engine::Safetensors& file);

class Optimizer {
 public:
  /// Of everything, or of these pieces.
  Optimizer(nn::Parameters& parameters, const OptimConfig& config);
  Optimizer(nn::Parameters& parameters, const OptimConfig& config, const std::vector<nn::Piece>& pieces);

  /// One update from the gradient arena, each gradient multiplied by `factor` first; refreshes the compute
  /// copies.
  void step(double lr, double factor);
  /// The same with the factor that stands in `scalars`; nothing where the gradients are not finite.
  void step(double lr, const engine::ScalarsInMemory& scalars);
  /// Updates done so far.
  int64_t updates() const { return updates_; }

  /// The moments of its pieces, by the names that they have in checkpoints.
  engine::NamedTensors moments() const;
  /// What else a checkpoint keeps: updates and the last learning rate.
  std::vector<double> counters() const { return {double(updates_), previous_lr_}; }
  void set_counters(const std::vector<double>& counters);
  /// Error: a checkpoint's file is of another optimizer.
  void check_file(const engine::Safetensors& file) const { check_moments(config_, file); }

 private:
  struct Part {
    int64_t begin, end, at;  // at: in the moments
    std::vector<engine::DecaySpan> spans;
  };
  void step(double lr, double factor, const engine::ScalarsInMemory* scalars);
  void step_part(const Part& part, double lr, double factor, const engine::ScalarsInMemory* scalars);
  /// Whether the optimizer changes f32 (or f64) values; not so in memory-efficient f16.
  bool has_masters() const {
    return engine::compute_dtype(parameters_.precision().master) == parameters_.precision().master;
  }

  nn::Parameters& parameters_;
  OptimConfig config_;
  std::vector<Part> parts_;
  engine::Tensor first_, second_;  // m and v; the momentum buffer is first_
  int64_t updates_ = 0;
  double previous_lr_ = 0;
};

/// The weight decay of a parameter group under a config's rule.
double group_decay(const OptimConfig& config, nn::ParameterGroup group);

}  // namespace train
