// Kernel arguments of rope.h.
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"

namespace engine {

/// y[r, h, :] = x[r, h, :] rotated by the angles of position r % time, backwards when `inverse` (the
/// gradient).
struct RopeArgs {
  const void* x;
  void* y;
  const void* cos;  // [time, n / 2] in the compute dtype
  const void* sin;
  int64_t rows, time, heads, n, x_stride, y_stride;
  DType dtype;
  bool inverse, accumulate;
};

ENGINE_KERNEL(rope, RopeArgs)

}  // namespace engine
