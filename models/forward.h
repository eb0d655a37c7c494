// One forward (and backward) pass of a model on a token file: what `normlab forward` writes and the tests
// compare.
#pragma once

#include "models/model_files.h"
#include "models/token_file.h"

namespace models {

struct ForwardResult {
  double loss = 0;  // mean over scored positions; only where there are labels
  bool has_loss = false;
  Tensor logits;                   // [B, T, V] (classify: [B, classes])
  Tensor hidden;                   // [B, T, d]: what the head reads
  engine::NamedTensors gradients;  // of the mean loss, by parameter name, in the model's order
};

enum class WithGradients { no, yes };

/// Dropout is off. Errors: labels that score nothing; gradients without labels.
ForwardResult run_forward(Transformer& model, const TokenBatch& batch, WithGradients with_gradients);

/// loss [1] f64, logits, hidden, grad.NAME as tensors: f64 for an f64 model, else f32.
engine::NamedTensors output_tensors(const ForwardResult& result, engine::DType precision);

}  // namespace models
