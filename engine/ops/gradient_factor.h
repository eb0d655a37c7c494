// The one number by which an update's gradients are multiplied: plain arithmetic, the same on every device.
//
// Gradients of the summed, scaled loss become those of the mean loss by one multiplication, which also clips:
//   factor = 1 / loss scale * 1 / scored, times what clips.
// The norm is that of the raw gradients, multiplied, so clipping never sees a scaled norm.
#pragma once

#include "engine/base/philox.h"  // ENGINE_INLINE

namespace engine {

/// How gradients are clipped to a norm of `most`; 0: not at all.
struct Clipping {
  double most = 0;
  /// max / norm where norm > max: fairseq's rule for f16. Otherwise min(1, max / (norm + 1e-6)), as torch and
  /// fairseq have it in f32 and bf16.
  bool exact = false;
};

/// What clips gradients of this norm.
ENGINE_INLINE double clip_factor(double norm, const Clipping& clipping) {
  if (!(clipping.most > 0)) return 1;
  if (clipping.exact) return norm > clipping.most ? clipping.most / norm : 1;
  const double share = clipping.most / (norm + 1e-6);
  return share < 1 ? share : 1;
}

struct GradientFactor {
  double unclipped, norm, factor;
};
/// `raw_norm`: of the gradients as they stand.
ENGINE_INLINE GradientFactor gradient_factor(double loss_scale, double scored, double raw_norm,
                                             const Clipping& clipping) {
  const double unclipped = 1 / loss_scale * (1 / scored), norm = unclipped * raw_norm;
  return {unclipped, norm, unclipped * clip_factor(norm, clipping)};
}

}  // namespace engine
