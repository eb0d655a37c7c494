// Kernel arguments of random.h.
#pragma once

#include "engine/base/philox.h"
#include "engine/cpu/isa.h"
#include "engine/ops/random.h"

namespace engine {

struct RandomFill {
  void* values;  // f32, or f64 when `is_double`
  int64_t n;
  bool is_double;
  Law law;
  double scale;
  uint64_t seed, offset;
};

namespace cpu {
ENGINE_CPU_KERNEL(random_fill, RandomFill)
}  // namespace cpu
}  // namespace engine
