// Kernel arguments of loss.h. Every kernel writes one loss per row, in double; add_losses adds them up.
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"

namespace engine {

struct CrossEntropyForward {
  const void* logits;     // [rows, classes]
  const int32_t* labels;  // [rows]; -100: not scored
  double* losses;         // [rows], 0 where not scored
  void* lse;              // [rows], compute dtype
  int64_t rows, classes, stride;
  DType dtype;
};

struct CrossEntropyBackward {
  const void* logits;
  const int32_t* labels;
  const void* lse;
  void* dlogits;
  const double* dloss;  // the upstream gradient, one number
  int64_t rows, classes, stride, dlogits_stride;
  bool accumulate;
  DType dtype;
};

/// Rows of a chunk of linear_cross_entropy: logits (compute dtype) become their own gradient, which is
/// `dtype` and begins where the row began.
struct ScoreChunk {
  void* logits;                       // [rows, classes], compute dtype; with `gradient`, overwritten
  const void* bias;                   // [classes], compute dtype, or null
  const int32_t* labels;              // [rows], all scored
  double* losses;                     // [rows]
  int64_t rows, classes, vocabulary;  // columns from `vocabulary` on are padding
  double softcap, loss_scale;
  bool gradient;
  DType dtype;  // of the gradient
};

struct ColumnSums {
  const void* from;  // [rows, columns] in `dtype`, rows `stride` apart
  void* to;          // [columns], compute dtype
  int64_t rows, columns, stride;
  bool accumulate;
  DType dtype;
};

struct SquaredErrorForward {
  const void *x, *target;  // [n]
  double* losses;          // [ceil(n / kSquaredErrorChunk)]
  int64_t n;
  DType dtype;
};

struct SquaredErrorBackward {
  const void *x, *target;
  void* gradient;       // sign 2 dloss (x - target)
  const double* dloss;  // one number
  int64_t n;
  double sign;  // -1 for the target's
  bool accumulate;
  DType dtype;
};

/// sum = all losses, added in an order that depends on their number only: on the CPU, one after the other.
struct AddLosses {
  const double* losses;  // [n]
  double* sum;           // one number
  int64_t n;
};

constexpr int64_t kSquaredErrorChunk = 16384;

ENGINE_KERNEL(cross_entropy_forward, CrossEntropyForward)
ENGINE_KERNEL(cross_entropy_backward, CrossEntropyBackward)
ENGINE_KERNEL(score_chunk, ScoreChunk)
ENGINE_KERNEL(column_sums, ColumnSums)
ENGINE_KERNEL(squared_error_forward, SquaredErrorForward)
ENGINE_KERNEL(squared_error_backward, SquaredErrorBackward)
ENGINE_KERNEL(add_losses, AddLosses)

}  // namespace engine
