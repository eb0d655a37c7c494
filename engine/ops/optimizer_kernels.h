// Kernel arguments of optimizer.h. All arrays are flat and of n elements; parameters are read, updated and
// written in place, with up to two moment arrays in the compute dtype beside them. The numbers of an update
// stand in memory (step_scalars.h), so that one launch serves an arena whose factor the device has just
// formed.
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"
#include "engine/ops/gradient_factor.h"

namespace engine {

struct StepScalars;

/// Elements up to `end` of an arena, behind those of the span before, and their weight decay.
struct DecaySpan {
  int64_t end;
  double decay;  // times the learning rate
};
constexpr int kDecaySpans = 5;

/// What every step reads and writes.
struct FlatStep {
  void* parameters;
  const void* gradients;
  void* first;   // m, or the momentum buffer; null: none
  void* second;  // v; null: none
  void* low;     // the updated parameters low_begin to low_end in another dtype; null: none
  int64_t low_begin, low_end;
  int64_t n;
  DType parameter_dtype, gradient_dtype, low_dtype;
  /// finite: 0 leaves everything as it is. factor: 16-bit gradients are rounded to their own dtype after this
  /// multiply. Null: the factor is 1.
  const StepScalars* scalars;
  DecaySpan spans[kDecaySpans];  // the last one ends at n; ends are multiples of 4 but for n
};

/// p -= lr decay p;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= size m / (root_scale sqrt(v) +
/// eps)
struct AdamStep {
  FlatStep flat;
  double beta1, beta2, eps;
};

/// p -= lr decay p;  p += buffer_to_p buf - gradient_to_p g;  buf = buffer_keep buf - lr g
struct NagStep {
  FlatStep flat;
};

/// g += decay p;  buf = momentum buf + g;  p -= lr buf        (without a buffer: p -= lr g)
struct SgdStep {
  FlatStep flat;
  double momentum;
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

/// scalars: norm, factor, unclipped and finite from the partial sums and the loss scale and count that stand
/// there.
struct FormFactor {
  const double* partials;
  int64_t n;
  StepScalars* scalars;
  Clipping clipping;
};

ENGINE_KERNEL(form_factor, FormFactor)
ENGINE_KERNEL(adam_step, AdamStep)
ENGINE_KERNEL(nag_step, NagStep)
ENGINE_KERNEL(sgd_step, SgdStep)
ENGINE_KERNEL(ema_step, EmaStep)
ENGINE_KERNEL(sum_of_squares, SumOfSquares)

}  // namespace engine
