// Products of tensors' matrices, as ops state them: one way to name an operand and one to run a product.
#pragma once

#include "engine/core/tensor.h"
#include "engine/kernel/gemm.h"
#include "engine/kernel/wide.h"

namespace engine {

/// The rows of x, which must be uniform (Tensor::has_uniform_rows), as a matrix; `transposed`: its transpose.
inline GemmOperand matrix_of(const Tensor& x, bool transposed = false) {
  return {x.raw(), x.row_stride(), x.dtype(), transposed};
}
/// The operand that begins `count` elements further on.
inline GemmOperand advanced(GemmOperand x, int64_t count) {
  x.data = static_cast<const char*>(x.data) + count * size_of(x.dtype);
  return x;
}

/// The product on `device`; a small one of f32 in double.
inline void run_product(Device device, Gemm g) {
  g.wide = is_wide(device, g.m * g.n * g.k * g.batch);
  kernel::gemm(device, g);
}

}  // namespace engine
