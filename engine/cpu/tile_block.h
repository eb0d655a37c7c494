// One block of 32 x 32 sums on tiles (tiles.h), by itself: a test holds the emulated instruction against the
// processor's.
#pragma once

#include <cstdint>

#include "engine/kernel/kernel.h"

namespace engine {

/// c += a b for packed panels as tile_pack.h has them. Does nothing below AVX-512.
struct TileBlock {
  int64_t steps;
  const uint32_t *a, *b;  // [steps, 512] pairs of bf16
  float* c;               // [32, 32]
  bool emulated;
};

ENGINE_CPU_KERNEL(tile_block, TileBlock)

}  // namespace engine
