// Kernel arguments of optimizer.h. All arrays are flat and of n elements; parameters are read, updated and
// written in place, with up to two moment arrays in the compute dtype beside them.
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"

namespace engine {

/// What every step reads and writes.
struct FlatStep {
  void* parameters;
  const void* gradients;
  void* first;   // m, or the momentum buffer; null: none
  void* second;  // v; null: none
  void* low;     // the updated parameters in another dtype; null: none
  int64_t n;
  DType parameter_dtype, gradient_dtype, low_dtype;
  double gradient_factor;  // 16-bit gradients are rounded to their own dtype after this multiply
};

/// p -= decay p;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= size m / (root_scale sqrt(v) + eps)
struct AdamStep {
  FlatStep flat;
  double decay, beta1, beta2, size, root_scale, eps;
};

/// p -= decay p;  p += buffer_to_p buf - gradient_to_p g;  buf = buffer_keep buf - lr g
struct NagStep {
  FlatStep flat;
  double decay, buffer_to_p, gradient_to_p, buffer_keep, lr;
};

/// g += weight_decay p;  buf = momentum buf + g;  p -= lr buf        (without a buffer: p -= lr g)
struct SgdStep {
  FlatStep flat;
  double lr, momentum, weight_decay;
};

/// parameters = decay parameters + (1 - decay) gradients: the average stands in `parameters`.
struct EmaStep {
  FlatStep flat;
  double decay;
};

constexpr int64_t kSquaresGrain = 16384;  // elements of one partial sum

struct SumOfSquares {
  const void* x;
  double* partials;  // sum_of_squares_scratch() sums, to be added in order
  int64_t n;
  DType dtype;
};
constexpr int64_t sum_of_squares_scratch(Device, const SumOfSquares& a) {
  return (a.n + kSquaresGrain - 1) / kSquaresGrain;
}

ENGINE_KERNEL(adam_step, AdamStep)
ENGINE_KERNEL(nag_step, NagStep)
ENGINE_KERNEL(sgd_step, SgdStep)
ENGINE_KERNEL(ema_step, EmaStep)
ENGINE_KERNEL(sum_of_squares, SumOfSquares)

}  // namespace engine
