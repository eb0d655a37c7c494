// Kernel arguments of random.h.
#pragma once

#include <cstdint>

#include "engine/kernel/kernel.h"

namespace engine {

enum class Law {
  normal,     // N(0, 1)
  truncated,  // N(0, 1), drawn again beyond three standard deviations
  uniform,    // U(-1, 1)
};

struct RandomFill {
  void* values;  // f32, or f64 when `is_double`
  int64_t n;
  bool is_double;
  Law law;
  double scale;
  uint64_t seed, offset;
};

ENGINE_KERNEL(random_fill, RandomFill)

}  // namespace engine
