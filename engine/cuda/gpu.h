// What a kernel file (x_cuda.cu) includes, and all that it includes of CUDA: plain CUDA C++20, compiled by
// nvcc for a GPU and by an ordinary compiler for the stand-in (host/), unchanged. tests/lint checks the
// rules:
//
//  1. Global memory through `const auto x = global(static_cast<const T*>(a.x))`, then x[i], load_pack() and
//  store_pack() of
//     x + i. On a GPU that is the bare pointer.
//  2. Shared memory through `auto& s = block_shared<NormShared>()`, a struct of SharedArray<T, N>.
//  3. Launches through `launch<Shared>(kernel<T, 3>, grid, threads, stream, args)`: one plain struct as
//  argument, whole
//     warps of threads, a grid that depends on shapes only (never on the card: other cards would add in other
//     orders).
//     A kernel says __launch_bounds__(threads, 1): without the 1, ptxas spills a few registers to fit more
//     blocks.
//  4. PTX only in gpu_nvcc.h.
//  5. No atomics on floats, no waiting for another block, no "last block sums": two launches instead.
//  6. Values have types: `const float v = x[i]`, not `auto`.
//  7. A path of packs needs n % W == 0, aligned bases and strides; everything else goes through a scalar
//  path.
#pragma once

#include <cmath>
#include <cstdint>

#include "engine/core/dtype.h"

// The namespace of the device that the file is compiled for: cuda or cuda_host. All of this lives in it, so
// that the two may stand in one program.
#if !defined(ENGINE_GPU)
#error "kernel files are compiled by cmake/box.cmake, which says for what"
#endif

#if defined(__CUDACC__)
#define GPU_INLINE __device__ __forceinline__
#include "engine/cuda/gpu_nvcc.h"
#else
#define GPU_INLINE inline __attribute__((always_inline))
#include "engine/cuda/host/gpu_host.h"
#endif

namespace engine::ENGINE_GPU {

constexpr unsigned kFull = 0xffffffffu;  // the mask of a whole warp

/// Elements that are loaded and stored at once.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};
template <class T>
using Pack16 = Pack<T, 16 / int(sizeof(T))>;

/// The sum over a warp, in every lane; always added in the same order.
template <class C>
GPU_INLINE C warp_sum(C x, Where where = Where::here()) {
  for (int d = 16; d > 0; d /= 2) x += __shfl_xor_sync(kFull, x, d, 32 GPU_WHERE(where));
  return x;
}
/// The largest over a warp, in every lane; NaN wins, as it must.
template <class C>
GPU_INLINE C warp_max(C x, Where where = Where::here()) {
  for (int d = 16; d > 0; d /= 2) {
    const C other = __shfl_xor_sync(kFull, x, d, 32 GPU_WHERE(where));
    x = other > x || other != other ? other : x;
  }
  return x;
}

}  // namespace engine::ENGINE_GPU
