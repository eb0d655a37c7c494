// One warp each, on device memory. Read first: fragments_cuda.cu.
#pragma once

#include <cstdint>

#include "engine/core/dtype.h"

#define ENGINE_FRAGMENTS(space)                                                                             \
  namespace engine::space {                                                                                 \
  /* Lane l's register m after ldmatrix of four matrices whose element (m, r, c) is 64 m + 8 r + c: out[4 l \
   * + m]. */                                                                                               \
  void fragments_of_matrices(uint32_t* out, bool transposed);                                               \
  /* d [16, 8] = a [16, 16] b [16, 8] + c by one mma.sync. */                                               \
  void fragments_product(const bf16* a, const bf16* b, const float* c, float* d);                           \
  void fragments_product(const f16* a, const f16* b, const float* c, float* d);                             \
  /* to [128] = from by asynchronous copies of 16 bytes, zeros from 4 * valid on. */                        \
  void fragments_copy(const float* from, float* to, int valid);                                             \
  }
ENGINE_FRAGMENTS(cuda)
ENGINE_FRAGMENTS(cuda_host)
#undef ENGINE_FRAGMENTS
