// Kernel arguments of grouped_linear.h: a product for each group of rows, with groups that only the device knows.
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"

namespace engine {

/// y_i = x_i W_e, or += that, for the rows i of group e: [offsets[e], offsets[e + 1]). All are contiguous.
struct GroupedProduct {
  const void* x;           // [rows, k]
  const void* weight;      // [groups, k, n]; `transposed`: [groups, n, k]
  const int32_t* offsets;  // [groups + 1]
  int64_t groups, rows, n, k;
  void* y;             // [rows, n]
  DType dtype, y_dtype;  // dtype: of x and the weight
  bool transposed, accumulate;
};

/// The gradient of the weights: dw[e] = sum over the rows i of group e of dy[i]^T x[i], or += that.
struct GroupedGradient {
  const void *dy, *x;      // [rows, n], [rows, k]
  const int32_t* offsets;  // [groups + 1]
  int64_t groups, rows, n, k;
  void* dw;  // [groups, n, k]
  DType dtype, dw_dtype;
  bool accumulate;
};

ENGINE_KERNEL(grouped_product, GroupedProduct)
ENGINE_KERNEL(grouped_gradient, GroupedGradient)

}  // namespace engine
