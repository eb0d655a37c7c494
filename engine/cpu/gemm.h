// The product of matrices that everything large goes through: C = op(A) op(B), or C += op(A) op(B).
//
// A and B are f64, or any mix of f32, bf16 and f16 (multiplied and added in f32; 16-bit elements are widened
// while they are packed; bf16 with bf16 goes in pairs where the processor multiplies those). A small product
// with an f32 side is multiplied and added in double and rounded once (wide.h). The work is fixed output
// tiles and every element's sum runs over k in one fixed order, so any number of threads gives the same bits.
// A caller may take each finished tile out of the cache instead of having it stored: that is how linear adds
// bias, activation and residual (GemmFinish). How it works inside: gemm_cpu.cc.
#pragma once

#include "engine/core/dtype.h"
#include "engine/cpu/isa.h"

namespace engine {

/// A matrix in memory: element (i, j) of op(X) is data[i * stride + j], or data[j * stride + i] when
/// transposed.
struct GemmOperand {
  const void* data = nullptr;
  int64_t stride = 0;  // elements between stored rows
  DType dtype = DType::f32;
  bool transposed = false;
};

/// A finished piece of C, rows [row, row + rows) x columns [col, col + cols), in the compute dtype (f64 or
/// f32).
struct GemmTile {
  int64_t batch, row, col, rows, cols;
  const void* values;
  int64_t stride;
};
/// Told of every tile once, from any thread. Tiles do not overlap and cover C.
using GemmFinish = void (*)(const void* context, const GemmTile& tile);

struct Gemm {
  GemmOperand a;  // op(A) [m, k]
  GemmOperand b;  // op(B) [k, n]
  int64_t m = 0, n = 0, k = 0;
  void* c = nullptr;  // [m, n]; unused when `finish` is given
  int64_t c_stride = 0;
  DType c_dtype = DType::f32;  // f64 exactly when A and B are
  bool accumulate = false;     // C += instead of C =
  GemmFinish finish = nullptr;
  const void* context = nullptr;
  int64_t batch = 1, a_batch = 0, b_batch = 0, c_batch = 0;  // matrices, and elements from one to the next
};

namespace cpu {
/// The product on all threads. k = 0 gives zeros (or leaves C when accumulating).
ENGINE_CPU_KERNEL(gemm, Gemm)
/// The product on the calling thread: for small blocks inside a caller's own parallel_for. No batch.
ENGINE_CPU_KERNEL(gemm_tile, Gemm)
// Both use scratch slots 4 to 7 of the threads they run on (kernel.h).
}  // namespace cpu

}  // namespace engine
