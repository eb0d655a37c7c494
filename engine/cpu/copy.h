// Strided copies between any floating dtypes: y = x or y += x, on all threads. The kernel behind views, casts
// and gradient hand-over.
#pragma once

#include "engine/core/tensor.h"
#include "engine/cpu/isa.h"

namespace engine {

struct CopyArgs {
  const void* from;
  void* to;
  DType from_dtype, to_dtype;  // floating, or equal
  int rank;
  int64_t size[kMaxRank], from_stride[kMaxRank], to_stride[kMaxRank];  // in elements
  bool accumulate;                                                     // floating only
};

namespace cpu {
ENGINE_CPU_KERNEL(copy, CopyArgs)
}

/// to = from or to += from, any strides and floating dtypes, equal shapes. Not recorded; counts as
/// an overwrite of `to` (Storage::version).
void copy_elements(const Tensor& from, const Tensor& to, bool accumulate);

}  // namespace engine
