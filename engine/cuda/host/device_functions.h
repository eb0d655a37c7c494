// CUDA's own names, for kernels compiled by an ordinary compiler. Included by gpu.h only.
#pragma once

#include <cmath>

#include "engine/cuda/host/async_copy.h"
#include "engine/cuda/host/collectives.h"
#include "engine/cuda/host/matrix.h"
#include "engine/cuda/host/pointers.h"
#include "engine/cuda/host/stream.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define threadIdx (::engine::standin::this_lane().index)
#define blockIdx (::engine::standin::this_block().index)
#define blockDim (::engine::standin::this_block().size)
#define gridDim (::engine::standin::this_block().grid)

namespace engine::standin {

inline void __syncthreads(Where where = Where::here()) { block_barrier(where); }
inline void __syncwarp(uint32_t mask = kAllLanes, Where where = Where::here()) {
  warp_collective(Collective::syncwarp, mask, nullptr, nullptr, where);
}

// Lanes of segments of `width`: one whose partner would lie outside its segment keeps its own value.
template <class T>
T __shfl_sync(uint32_t mask, T value, int from, int width = 32, Where where = Where::here()) {
  const int lane = int(this_lane().lane);
  return shuffle(mask, value, uint32_t(lane / width * width + (from & (width - 1))), where);
}
template <class T>
T __shfl_xor_sync(uint32_t mask, T value, int bits, int width = 32, Where where = Where::here()) {
  const int lane = int(this_lane().lane), from = lane ^ bits;
  return shuffle(mask, value, uint32_t(from / width > lane / width ? lane : from), where);
}
template <class T>
T __shfl_down_sync(uint32_t mask, T value, int by, int width = 32, Where where = Where::here()) {
  const int lane = int(this_lane().lane);
  return shuffle(mask, value, uint32_t(lane % width + by >= width ? lane : lane + by), where);
}
template <class T>
T __shfl_up_sync(uint32_t mask, T value, int by, int width = 32, Where where = Where::here()) {
  const int lane = int(this_lane().lane);
  return shuffle(mask, value, uint32_t(lane % width < by ? lane : lane - by), where);
}

inline uint32_t __ballot_sync(uint32_t mask, int predicate, Where where = Where::here()) {
  return ballot(mask, predicate != 0, where);
}
inline int __any_sync(uint32_t mask, int predicate, Where where = Where::here()) {
  return ballot(mask, predicate != 0, where) != 0;
}
inline int __all_sync(uint32_t mask, int predicate, Where where = Where::here()) {
  return ballot(mask, predicate != 0, where) == mask;
}

inline int __popc(uint32_t x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }

}  // namespace engine::standin
