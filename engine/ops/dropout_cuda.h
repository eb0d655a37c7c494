// The dropout mask on a GPU: bit for bit what engine/cpu/dropout.h draws. Included by kernel files.
#pragma once

#include "engine/base/philox.h"
#include "engine/cuda/gpu.h"

namespace engine::ENGINE_GPU {

/// The last 32-bit word that drops: unit_float(w) < p  <=>  w >> 8 < limit  <=>  w <= last.
GPU_INLINE uint32_t last_dropped(double p) { return uint32_t(std::ceil(p * 16777216.0)) * 256u - 1; }

/// A mask's seed: the number that the launch was given, or the one that now stands in memory.
GPU_INLINE uint64_t mask_seed(uint64_t seed, const uint64_t* memory) {
  if (!memory) return seed;
  return global(memory)[0];
}

/// factor[j] = 0 where element 4 * (block of its tensor) + j is dropped, 1 / (1 - p) where it stays.
template <class C>
GPU_INLINE void dropout_factors(uint64_t seed, uint64_t block, double p, C (&factor)[4]) {
  const PhiloxBits bits = philox(seed, block);
  const uint32_t last = last_dropped(p);
  const C stays = C(1 / (1 - p));
#pragma unroll
  for (int j = 0; j < 4; ++j) factor[j] = bits.word[j] <= last ? C(0) : stays;
}
/// The same for one element.
template <class C>
GPU_INLINE C dropout_factor(uint64_t seed, uint64_t offset, int64_t element, double p) {
  const PhiloxBits bits = philox(seed, offset + uint64_t(element) / 4);
  const int word = int(element % 4);
  const uint32_t w =
      word < 2 ? (word == 0 ? bits.word[0] : bits.word[1]) : (word == 2 ? bits.word[2] : bits.word[3]);
  return w <= last_dropped(p) ? C(0) : C(1 / (1 - p));
}

}  // namespace engine::ENGINE_GPU
