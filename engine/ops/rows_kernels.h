// Rows of tables by index: the kernels of embedding.h and routing.h. Rows have d elements; tables, x and y
// are contiguous; weights are factors in the compute dtype, one a row, or null.
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"

namespace engine {

/// y[i, :] = scale * weights[i] * table[ids[i], :], or += that.
struct GatherRows {
  const void* table;
  const int32_t* ids;
  const void* weights;
  void* y;
  int64_t n, d;
  DType table_dtype, y_dtype;
  double scale;
  bool accumulate;
};

/// Positions in order of their ids in [0, rows), equal ones in order: id v has order[starts[v] .. starts[v + 1]).
struct SortRows {
  const int32_t* ids;  // [n]
  int32_t* order;      // [n]
  int32_t* starts;     // [rows + 1]
  int64_t n, rows;
};

/// y[v, :] = scale * sum over i with ids[i] = v of weights[i] * x[i, :], in order of i, or += that. The ids
/// come sorted (SortRows): row v sums the entries order[starts[v]] ... order[starts[v + 1] - 1].
struct ScatterRows {
  const void* x;
  const int32_t* order;
  const int32_t* starts;
  const void* weights;
  void* y;
  int64_t rows, d;
  DType x_dtype, y_dtype;
  double scale;
  bool accumulate;
};

/// y[i] = <x[i, :], table[ids[i], :]>, or += that; y in the compute dtype or wider than x.
struct DotRows {
  const void* x;
  const void* table;
  const int32_t* ids;
  void* y;
  int64_t n, d;
  DType dtype, y_dtype;
  bool accumulate;
};

ENGINE_KERNEL(sort_rows, SortRows)
ENGINE_KERNEL(gather_rows, GatherRows)
ENGINE_KERNEL(scatter_rows, ScatterRows)
ENGINE_KERNEL(dot_rows, DotRows)

}  // namespace engine
