// What a training step costs: FLOPs per token, and where the memory goes. Pure arithmetic on the parameter
// list. Read first: parameter_list.h.
#pragma once

#include "models/config.h"

namespace models {

/// Training FLOPs per token: 6 * (parameters of the matrices with the vocabulary head, of experts the active
/// ones) + 12 * layers * heads * head_dim * T. The second term counts the whole T x T of scores, as PaLM's
/// MFU does (Chowdhery et al. 2022, appendix B); a causal model needs half of it.
struct FlopsPerToken {
  int64_t matrix_parameters = 0;
  double matrices = 0, attention = 0, attention_causal = 0;
  double total() const { return matrices + attention; }
  double total_causal() const { return matrices + attention_causal; }
};
FlopsPerToken flops_per_token(const ModelConfig& config, int64_t context);

/// Bytes of training with AdamW: float32 parameters, gradients and two moments; activations of `batch` rows
/// of `context` tokens, of `bytes` each (4 for float32, 2 for bf16 and f16): what the backward pass reads
/// again. Dropout behind the activation (`activation_dropout`) needs its input and its output.
struct MemoryPlan {
  double parameters = 0, gradients = 0, moments = 0, activations = 0;
  double total() const { return parameters + gradients + moments + activations; }
};
MemoryPlan memory_plan(const ModelConfig& config, int64_t batch, int64_t context, int bytes,
                       bool activation_dropout = false);

/// Values that one token's forward pass keeps in one layer, with flash attention (no T x T scores).
int64_t saved_per_token(const ModelConfig& config, const nn::LayerSlots& slots,
                        bool activation_dropout = false);

}  // namespace models
