// Strided copies between any dtypes: y = x or y += x, on all threads. The kernel behind Tensor::copy_from():
// views, casts, gradient hand-over, files.
#pragma once

#include "engine/core/dtype.h"
#include "engine/core/shape.h"
#include "engine/kernel/kernel.h"

namespace engine {

struct CopyArgs {
  const void* from;
  void* to;
  DType from_dtype, to_dtype;
  int rank;
  int64_t size[kMaxRank], from_stride[kMaxRank], to_stride[kMaxRank];  // in elements
  bool accumulate;                                                     // floating only
};

ENGINE_KERNEL(copy, CopyArgs)

}  // namespace engine
