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

namespace engine {

constexpr int32_t kNotScored = -100;

/// logits [..., V], labels [...]. Softmax statistics in at least f32.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels);

/// The rows of a batch that are scored: what linear_cross_entropy() takes without asking the host. All on one
/// device.
struct ScoredRows {
  Tensor rows;    // i32 [n]: their numbers, rising; undefined where all rows are taken as they are
  Tensor order;   // i32 [n]: 0, 1, 2, ...
  Tensor starts;  // i32 [total + 1]: row v is none or one of `rows`, from starts[v] to starts[v + 1]
  Tensor labels;  // i32 [n], kNotScored where a row only fills up
  int64_t total = 0;
  bool defined() const { return labels.defined(); }
};
/// Of labels of any shape. Error: a label is outside [0, classes) and not kNotScored.
ScoredRows scored_rows(const char* op, const Tensor& labels, int64_t classes);

struct LinearCrossEntropyOptions {
  double softcap = 0;  // cap tanh(z / cap) on the logits; 0: none
  double loss_scale =
      1;  // multiplies the gradient (not the returned loss): fp16 gradients would flush to zero without it
  int64_t vocabulary = 0;  // columns from here on are padding: logit -inf, gradient zero; 0: all are real
  Tensor scale = {};       // f64 [] on x's device: the loss scale stands there instead
  const ScoredRows* scored = nullptr;  // in place of labels
};

/// cross_entropy(linear(x, weight, bias), labels) in chunks of rows: never holds the [rows, V] logits. While
/// a tape records, the gradients of x, weight and bias are formed in the forward pass; its backward then
/// checks that the upstream gradient is exactly 1, and it refuses to run inside a checkpointed segment. Rows
/// that are not scored cost nothing. x [..., d], weight [V, d] of x's dtype, bias [V] or undefined, labels
/// [...].
Tensor linear_cross_entropy(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& labels,
                            const LinearCrossEntropyOptions& options = {});

/// Mean squared error summed over rows: sum (x - target)^2; x and target of one shape. For regression heads.
Tensor squared_error(const Tensor& x, const Tensor& target);

}  // namespace engine
