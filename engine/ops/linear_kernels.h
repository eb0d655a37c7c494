// Kernel arguments of linear.h. The products themselves are engine/kernel/gemm.h's; here is what surrounds
// them.
#pragma once

#include "engine/kernel/gemm.h"
#include "engine/ops/activation_kind.h"

namespace engine {

/// y = act(x W^T + b) + residual. Rows of x and W may lie apart; the others are contiguous.
struct LinearForward {
  GemmOperand x;         // [m, k]
  GemmOperand weight;    // [n, k], seen transposed
  const void* bias;      // [n], compute dtype; null: none
  const void* residual;  // [m, n], y's dtype; null: none
  void* pre;             // [m, n], y's dtype: what the activation was applied to; null: not wanted
  void* y;               // [m, n]
  int64_t m, n, k;
  DType dtype;  // of y
  Activation activation;
  bool wide;  // as Gemm::wide
};

/// g = dy act'(pre), db = sum over rows of g (before g is rounded).
struct LinearGradient {
  const void* dy;   // [m, n]
  const void* pre;  // [m, n], dy's dtype; null: identity
  void* g;          // [m, n]; null: not wanted
  void* db;         // [n]; null: not wanted
  void* partials;   // linear_gradient_scratch() elements, compute dtype; null with db
  int64_t m, n;
  DType dtype, g_dtype, db_dtype;  // dtype: of dy
  Activation activation;
  bool accumulate_db;
};

/// dx = (g W) act'(x), or dx += it: the input's gradient below an input activation; and h = act(x) again.
struct LinearInputGradient {
  GemmOperand g;       // [m, n]
  GemmOperand weight;  // [n, k]
  const void* x;       // [m, k]
  void* dx;            // [m, k]
  void* h;             // [m, k], contiguous; null: not wanted
  int64_t m, n, k, x_stride, dx_stride;
  DType dtype;  // of x and dx
  Activation activation;
  bool accumulate, wide;
};

constexpr int64_t kLinearRows =
    64;  // rows of a partial sum of db: fixed, so that sums do not depend on threads

/// A row of sums for every kLinearRows rows.
constexpr int64_t linear_gradient_scratch(Device, const LinearGradient& a) {
  return (a.m + kLinearRows - 1) / kLinearRows * a.n;
}

ENGINE_KERNEL(linear_forward, LinearForward)
ENGINE_KERNEL(linear_gradient, LinearGradient)
ENGINE_KERNEL(linear_input_gradient, LinearInputGradient)

}  // namespace engine
