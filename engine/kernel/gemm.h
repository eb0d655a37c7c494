// The product of matrices that everything large goes through: C = op(A) op(B), or C += op(A) op(B).
//
// A and B are f64, or any mix of f32, bf16 and f16 (multiplied and added in f32; 16-bit elements are widened
// while they are packed; bf16 with bf16 goes in pairs or on tiles where the processor multiplies those, f16
// with f16 on tiles in exact parts). A small product with an f32 side is multiplied and added in double and
// rounded once (wide.h). Every element's sum runs over k in one fixed order, so that results depend on shapes
// alone. How the CPU does it: engine/cpu/gemm_cpu.cc.
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"

namespace engine {

/// A matrix in memory: element (i, j) of op(X) is data[i * stride + j], or data[j * stride + i] when
/// transposed.
struct GemmOperand {
  const void* data = nullptr;
  int64_t stride = 0;  // elements between stored rows
  DType dtype = DType::f32;
  bool transposed = false;
};

struct Gemm {
  GemmOperand a;  // op(A) [m, k]
  GemmOperand b;  // op(B) [k, n]
  int64_t m = 0, n = 0, k = 0;
  void* c = nullptr;  // [m, n]
  int64_t c_stride = 0;
  DType c_dtype = DType::f32;  // f64 exactly when A and B are
  bool accumulate = false;     // C += instead of C =
  bool wide = false;           // in double where a side is f32 (is_wide(), wide.h)
  int64_t batch = 1, a_batch = 0, b_batch = 0, c_batch = 0;  // matrices, and elements from one to the next
};

/// k = 0 gives zeros (or leaves C when accumulating).
ENGINE_KERNEL(gemm, Gemm)

}  // namespace engine
