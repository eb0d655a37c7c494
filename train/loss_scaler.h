// Dynamic loss scaling for f16 training. (The factor that undoes the scale: engine/ops/gradient_factor.h.)
//
// The rule is fairseq's DynamicLossScaler: halve on overflow, double after a clean window, a floor, an abort
// when the scale falls to a minimum; the tests replay traces of the original. Overflow means that the global
// gradient norm is infinite or NaN. A skipped update advances neither the update count nor the learning rate.
//
// Beyond fairseq's, two ends: growth stops at `largest_grown`, where the scaled loss and the factor that
// undoes the scale are still normal numbers of f32 (gradients that are all zero never overflow); and
// most_in_a_row overflows one after the other are an abort too, since a floor keeps the scale from falling to
// the minimum.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/json.h"
#include "train/config.h"

namespace train {

enum class ScaleEvent {
  apply,  // the gradients are finite: take the step
  skip,   // overflow: drop this update's gradients and go on with a smaller scale
  abort,  // overflow at the smallest scale, or without an end: training cannot continue
};

class LossScaler {
 public:
  static constexpr double largest_grown = 0x1p64;
  static constexpr int64_t most_in_a_row = 1000;

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
  int64_t in_a_row_ = 0;  // overflows since the last finite norm; a resumed run counts anew
};

}  // namespace train
