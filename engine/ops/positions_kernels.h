// Kernel arguments of positions.h. The processor forms the table for every device: a model needs one.
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"

namespace engine {

/// y[t, :] = the sines, then the cosines, of position first + t.
struct Sinusoidal {
  void* y;  // [positions, width]
  int64_t first, positions, width;
  DType dtype;
};

ENGINE_CPU_KERNEL(sinusoidal, Sinusoidal)

}  // namespace engine
