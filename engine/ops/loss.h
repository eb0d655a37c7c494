// Cross-entropy, from logits and fused with the vocabulary projection.
//
//   L = factor * sum over scored rows of (logsumexp(z_i) - z_i[label_i])       dz = factor (softmax(z) -
//   onehot(label))
//
// The loss is a SUM in nats, shape [], f64: division by the scored count belongs to the optimizer's factor,
// so that k micro-batches equal one batch. Labels i32; -100 is not scored. Errors: other labels outside [0,
// V), named with position.
#pragma once

#include "engine/autograd/tape.h"
#include "engine/ops/rows.h"

namespace engine {

constexpr int32_t kNotScored = -100;

/// The rows that a loss counts, checked: made where the labels are known (for a batch, before the step), so that
/// ops never read a label on the host.
struct ScoredRows {
  Tensor labels;        // i32 [scored]: of those rows, in order; kNotScored where a row only fills up
  RowIndex rows;        // [scored], ascending, of all rows that labels were given for
  int64_t classes = 0;  // every label is below

  bool defined() const { return labels.defined(); }
  int64_t scored() const { return labels.numel(); }
  bool all() const { return scored() == rows.rows; }
  /// The same labels of rows that were gathered: all of them are scored.
  ScoredRows gathered() const { return {labels, {.rows = scored()}, classes}; }
  ScoredRows to(Device device) const { return {labels.to(device), rows.to(device), classes}; }
};
/// labels i32 of any shape, on any device (they are read on the host); the result is on theirs.
ScoredRows scored_rows(const char* op, const Tensor& labels, int64_t classes);

/// logits [..., V], labels [...]. Softmax statistics in at least f32.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels);
/// The same of labels that are checked already; logits [rows, V] of as many rows as they were given for.
Tensor cross_entropy(const Tensor& logits, const ScoredRows& labels);

struct LinearCrossEntropyOptions {
  double softcap = 0;  // cap tanh(z / cap) on the logits; 0: none
  double loss_scale =
      1;  // multiplies the gradient (not the returned loss): fp16 gradients would flush to zero without it
  int64_t vocabulary = 0;  // columns from here on are padding: logit -inf, gradient zero; 0: all are real
  Tensor scale = {};       // f64 [] on x's device: the loss scale stands there instead
};

/// cross_entropy(linear(x, weight, bias), labels) in chunks of rows: never holds the [rows, V] logits. While
/// a tape records, the gradients of x, weight and bias are formed in the forward pass; its backward then
/// checks that the upstream gradient is exactly 1, and it refuses to run inside a checkpointed segment. Rows
/// that are not scored cost nothing. x [..., d], weight [V, d] of x's dtype, bias [V] or undefined, labels
/// [...].
Tensor linear_cross_entropy(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& labels,
                            const LinearCrossEntropyOptions& options = {});
/// In how many chunks `rows` scored rows are taken.
int64_t cross_entropy_chunks(int64_t rows, int64_t classes, int64_t width);
/// The same of labels that are checked already; x has as many rows as they were given for.
Tensor linear_cross_entropy(const Tensor& x, const Tensor& weight, const Tensor& bias,
                            const ScoredRows& labels, const LinearCrossEntropyOptions& options = {});

/// Mean squared error summed over rows: sum (x - target)^2; x and target of one shape. For regression heads.
Tensor squared_error(const Tensor& x, const Tensor& target);

}  // namespace engine
