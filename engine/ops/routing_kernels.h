// Kernel arguments of routing.h: weighted sums of chosen rows, and inner products of row pairs.
#pragma once

#include "engine/core/dtype.h"
#include "engine/cpu/isa.h"

namespace engine {

/// y[t, :] = sum over p in [offsets[t], offsets[t + 1]) of weights[p] x[index[p], :], in the order of p.
struct CombineRows {
  const void* x;           // [*, width], contiguous
  void* y;                 // [rows, width], contiguous, x's dtype
  const int64_t* offsets;  // rows + 1; null: exactly one p for each row, p = t
  const int32_t* index;
  const void* weights;  // compute dtype; null: all 1
  int64_t rows, width;
  DType dtype;
  bool accumulate;
};

/// products[i] = <x[i, :], y[index[i], :]>, in the compute dtype.
struct RowProducts {
  const void* x;
  const void* y;
  const int32_t* index;
  void* products;
  int64_t rows, width;
  DType dtype;
  bool accumulate;
};

namespace cpu {
ENGINE_CPU_KERNEL(combine_rows, CombineRows)
ENGINE_CPU_KERNEL(row_products, RowProducts)
}  // namespace cpu

}  // namespace engine
