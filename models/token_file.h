// The token file of `normlab forward`: ids, labels, masks and token types of one batch, checked.
// Format: {"input_ids": [[...]], "labels": [[...]], "attention_mask": [[...]], "token_type_ids": [[...]]}.
// The labels of a classifier: one a row, [...], or rows with -100 behind the first position.
#pragma once

#include <string>

#include "engine/base/json.h"
#include "models/transformer.h"

namespace models {

struct TokenBatch {
  Tokens tokens;
  Tensor labels;  // i32 [B, T], -100 = not scored; classifiers: i32 [B], f64 [B] for regression. Undefined
                  // when there are none and the model is not causal.
  int64_t scored = 0;
};

/// Reads and checks a batch for `config`. Without labels a causal model is scored on the next token (not at
/// the last position, nor where the target is masked; with no position left there are no labels).
TokenBatch token_batch(const engine::Json& json, const ModelConfig& config, const std::string& what);

}  // namespace models
