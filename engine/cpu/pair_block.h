// One register of 16 sums of bf16 pairs (bf16_pairs.h), by itself: a test holds the emulated instruction against
// the processor's.
#pragma once

#include <cstdint>

#include "engine/kernel/kernel.h"

namespace engine {

/// c [16] += sum over steps of a pair of a with 16 pairs of b. Does nothing below AVX-512.
struct PairBlock {
  int64_t steps;
  const uint32_t *a, *b;  // [steps], [steps, 16]
  float* c;
  bool emulated;
};

ENGINE_CPU_KERNEL(pair_block, PairBlock)

}  // namespace engine
