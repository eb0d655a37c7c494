// Kernel arguments of softmax.h: rows of n > 0 elements; x and dx may have row strides.
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"

namespace engine {

struct SoftmaxForward {
  const void* x;
  void* y;
  int64_t rows, n, x_stride;
  DType dtype;
  bool log;  // y = x - max - log(sum) instead of exp(x - max) / sum
};

struct SoftmaxBackward {
  const void* y;
  const void* dy;
  void* dx;
  int64_t rows, n, dx_stride;
  DType dtype;
  bool log, accumulate;
};

ENGINE_KERNEL(softmax_forward, SoftmaxForward)
ENGINE_KERNEL(softmax_backward, SoftmaxBackward)

}  // namespace engine
