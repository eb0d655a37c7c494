// Kernel arguments of head_scale.h. Rows of x and dx may lie apart (row stride); y and dy are contiguous.
#pragma once

#include "engine/core/dtype.h"
#include "engine/cpu/isa.h"

namespace engine {

struct HeadScaleForward {
  const void* x;     // [rows, heads * n]
  const void* gain;  // [heads], compute dtype
  void* y;           // [rows, heads * n]
  int64_t rows, heads, n, x_stride;
  DType dtype;
};

struct HeadScaleBackward {
  const void* x;
  const void* gain;
  const void* dy;
  void* dx;        // null: not wanted
  void* dgain;     // [heads], compute dtype; null: not wanted
  void* partials;  // [chunks, heads] in the compute dtype, chunks = ceil(rows / kHeadScaleRows)
  int64_t rows, heads, n, x_stride, dx_stride;
  DType dtype;
  bool accumulate_dx, accumulate_dgain;
};

constexpr int64_t kHeadScaleRows = 64;  // rows a task works on: fixed, so that sums do not depend on threads

namespace cpu {
ENGINE_CPU_KERNEL(head_scale_forward, HeadScaleForward)
ENGINE_CPU_KERNEL(head_scale_backward, HeadScaleBackward)
}  // namespace cpu

}  // namespace engine
