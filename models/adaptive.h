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

/// Sum over scored positions of -log p(label), shape [] f64; gradients times loss_scale.
engine::Tensor adaptive_loss(const ModelConfig& config, const nn::Parameters& parameters,
                             const engine::Tensor& hidden, const Targets& labels, double loss_scale);

}  // namespace models
