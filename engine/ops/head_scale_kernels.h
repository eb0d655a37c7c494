// Kernel arguments of head_scale.h. Rows of x and dx may lie apart (row stride); y and dy are contiguous.
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"

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
  void* partials;  // head_scale_scratch() elements in the compute dtype; null with dgain
  int64_t rows, heads, n, x_stride, dx_stride;
  DType dtype;
  bool accumulate_dx, accumulate_dgain;
};

constexpr int64_t kHeadScaleRows = 64;  // rows a task works on: fixed, so that sums do not depend on threads

/// A sum of each head for every kHeadScaleRows rows.
constexpr int64_t head_scale_scratch(Device, const HeadScaleBackward& a) {
  return (a.rows + kHeadScaleRows - 1) / kHeadScaleRows * a.heads;
}

ENGINE_KERNEL(head_scale_forward, HeadScaleForward)
ENGINE_KERNEL(head_scale_backward, HeadScaleBackward)

}  // namespace engine
