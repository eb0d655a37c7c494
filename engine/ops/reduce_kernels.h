// Kernel arguments of reduce.h: a contiguous x seen as [outer, n, inner], summed over n.
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"

namespace engine {

/// y[o, i] = factor * sum_j x[o, j, i], or += that.
struct SumArgs {
  const void* x;
  void* y;
  double* partials;  // [outer, sum_pieces(n, inner), inner]: sum_scratch() elements
  int64_t outer, n, inner;
  DType x_dtype, y_dtype;
  double factor;
  bool accumulate;
};

/// dx[o, j, i] = factor * dy[o, i], or += that.
struct SpreadArgs {
  const void* dy;
  void* dx;
  int64_t outer, n, inner;
  DType dy_dtype, dx_dtype;
  double factor;
  bool accumulate;
};

struct MaxArgs {
  const void* x;  // [rows, n], n > 0
  void* y;        // [rows]
  int64_t rows, n, x_stride;
  DType dtype;
};

/// Rows that one partial sum covers: fixed by the shape, so that sums do not depend on threads.
constexpr int64_t sum_piece_rows(int64_t inner) { return inner < 512 ? 16384 / inner : 32; }
constexpr int64_t sum_pieces(int64_t n, int64_t inner) {
  return inner > 0 ? (n + sum_piece_rows(inner) - 1) / sum_piece_rows(inner) : 0;
}
constexpr int64_t sum_scratch(Device, const SumArgs& a) {
  return a.outer * sum_pieces(a.n, a.inner) * a.inner;
}

ENGINE_KERNEL(sum, SumArgs)
ENGINE_KERNEL(spread, SpreadArgs)
ENGINE_KERNEL(max_last, MaxArgs)

}  // namespace engine
