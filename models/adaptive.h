// Adaptive input embeddings and adaptive softmax for large word vocabularies, with everything tied.
//
// The vocabulary, sorted by frequency, is cut into bands; band b has embeddings E_b of width d / factor^b and
// a projection P_b [d, d_b]. Input: scale * P_b E_b[id]. Output: the head scores the first band's words
// directly (x E_0^T, P_0 unused) and one cluster per tail band; a tail band's words are scored with E_b
// (P_b^T x):
//   log p(w) = log softmax(head)_w                                          for words of band 0
//   log p(w) = log softmax(head)_cluster(b) + log softmax(E_b P_b^T x)_w      for words of band b
// Sources: Baevski & Auli, arXiv 1809.10853; Grave et al., arXiv 1609.04309.
#pragma once

#include "engine/base/philox.h"
#include "models/batch.h"
#include "nn/parameters.h"

namespace models {

/// [B, T, d] in `dtype`.
engine::Tensor adaptive_embedding(const ModelConfig& config, const nn::Parameters& parameters,
                                  const InputRows& tokens, engine::DType dtype);

/// Log-probabilities [..., V] of every word: what `forward` writes as logits (softmax of them is the
/// distribution).
engine::Tensor adaptive_log_probabilities(const ModelConfig& config, const nn::Parameters& parameters,
                                          const engine::Tensor& hidden);

struct AdaptiveLossOptions {
  double loss_scale = 1;       // multiplies gradients, never the loss that is returned
  double dropout = 0;          // of P_b^T x, the input of a tail band's softmax
  engine::Rng* rng = nullptr;  // needed with dropout
  engine::Tensor scale = {};   // f64 []: the loss scale stands there instead
};
/// Sum over scored positions of -log p(label), shape [] f64.
engine::Tensor adaptive_loss(const ModelConfig& config, const nn::Parameters& parameters,
                             const engine::Tensor& hidden, const Targets& labels,
                             const AdaptiveLossOptions& options = {});

}  // namespace models
