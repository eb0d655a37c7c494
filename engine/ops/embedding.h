// Table lookup.
//
//   y[i, :] = scale * weight[ids[i], :]
//   dweight[v, :] = scale * sum over i with ids[i] = v of dy[i, :], in order of i: ids are sorted (stable),
//   so the sum is the same for any number of threads and no atomics are needed.
#pragma once

#include "engine/autograd/tape.h"
#include "engine/ops/rows.h"

namespace engine {

/// ids i32, any shape; weight [V, d] floating. Output [ids..., d] in `dtype`.
/// Error: an id outside [0, V), named with its position.
Tensor embedding(const Tensor& ids, const Tensor& weight, double scale, DType dtype);
/// The same of ids that are checked and sorted already, on the weight's device.
Tensor embedding(const RowIndex& ids, const Tensor& weight, double scale, DType dtype);

}  // namespace engine
