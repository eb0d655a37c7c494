// Kernel arguments of activation.h. All tensors have rows of n elements; x, gate and up may have row strides.
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"
#include "engine/ops/activation_kind.h"

namespace engine {

struct ActivateForward {
  const void* x;
  void* y;
  int64_t rows, n, x_stride;
  DType dtype;
  Activation activation;
};

struct ActivateBackward {
  const void* x;
  const void* dy;
  void* dx;
  int64_t rows, n, x_stride, dx_stride;
  DType dtype;
  Activation activation;
  bool accumulate;
};

struct GluForward {
  const void* gate;
  const void* up;
  void* y;
  int64_t rows, n, gate_stride, up_stride;
  DType dtype;
  Activation activation;
};

struct GluBackward {
  const void* gate;
  const void* up;
  const void* dy;
  void* dgate;  // null: not wanted
  void* dup;    // null: not wanted
  int64_t rows, n, gate_stride, up_stride, dgate_stride, dup_stride;
  DType dtype;
  Activation activation;
  bool accumulate_dgate, accumulate_dup;
};

ENGINE_KERNEL(activate_forward, ActivateForward)
ENGINE_KERNEL(activate_backward, ActivateBackward)
ENGINE_KERNEL(glu_forward, GluForward)
ENGINE_KERNEL(glu_backward, GluBackward)

}  // namespace engine
