// Dynamic loss scaling for f16 training, and the one factor by which gradients are multiplied before the
// optimizer.
//
// The rule is fairseq's DynamicLossScaler: halve on overflow, double after a clean window, a floor, an abort
// when the scale falls to a minimum; the tests replay traces of the original. Overflow means that the global
// gradient norm is infinite or NaN. A skipped update advances neither the update count nor the learning rate.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/json.h"
#include "train/config.h"

namespace train {

enum class ScaleEvent {
  apply,  // the gradients are finite: take the step
  skip,   // overflow: drop this update's gradients and go on with a smaller scale
  abort,  // overflow at the smallest scale: training cannot continue
};

class LossScaler {
 public:
  /// `window` 0 in the config means fairseq's floor(2^14 / ranks / accumulate), at least 1.
  LossScaler(const LossScaleConfig& config, int64_t ranks, int64_t accumulate);

  double scale() const { return scale_; }
  int64_t window() const { return window_; }

  /// Once for every attempted update, with the norm of the unscaled gradients. On `abort` the scale is the
  /// one that failed.
  ScaleEvent observe(double grad_norm);

  /// The line with which a run ends after `abort`; `where` names the first bad layer and op.
  std::string abort_message(int64_t step, const std::string& where) const;

  engine::Json state() const;
  void restore(const engine::Json& state, const std::string& what);

 private:
  LossScaleConfig config_;
  int64_t window_;
  double scale_;
  int64_t iteration_ = 0, last_overflow_ = -1, last_rescale_ = -1, overflows_since_rescale_ = 0;
};

/// Gradients of the summed, scaled loss become those of the mean loss by one multiplication, which also
/// clips:
///   factor = 1 / loss scale, × ranks / tokens, × max / norm where norm > max > 0 (no epsilon; fairseq's f16
///   rule).
/// The norm is taken of the raw gradients once and multiplied, so clipping never sees a scaled norm.
class GradientFactor {
 public:
  explicit GradientFactor(double loss_scale = 1) : factor_(1 / loss_scale) {}
  void multiply(double c) { factor_ *= c; }
  double value() const { return factor_; }
  /// The true norm, from that of the raw gradients.
  double norm(double raw_norm) const { return factor_ * raw_norm; }
  void clip(double norm, double max) {
    if (norm > max && max > 0) factor_ *= max / norm;
  }

 private:
  double factor_;
};

/// The factor that clips in f32 and bf16 training: min(1, max / (norm + 1e-6)), as torch and fairseq have it;
/// max 0: 1.
double clip_factor(double norm, double max);

}  // namespace train
