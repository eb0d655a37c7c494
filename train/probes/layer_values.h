// Per-layer numbers of a model's parameters and gradients: what Figures 3, 4, 6 and 7 of NormFormer (arXiv
// 2110.09456) and Figure 2 of HybridNorm (arXiv 2503.04598) show. Used by `normlab probe`, for gradients of
// the mean loss alone, and by training's metrics, whose gradients are those that an update takes: with the
// auxiliary losses of routers, where there are any. Read first: models/transformer.h.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "models/transformer.h"

namespace train {

/// The layer that a parameter belongs to, -1 for none, and its name below the layer ("ffn.mid_norm.weight").
int64_t layer_of(const std::string& parameter);
std::string name_in_layer(const std::string& parameter);

struct LayerGradient {
  double w2_grad = 0;    // mean |gradient| of the feed-forward's second matrix, over all experts
  double grad_norm = 0;  // 2-norm of all gradients of the layer
  std::vector<std::pair<std::string, double>> parameters;  // 2-norm of each, in the order of declaration
};

/// From the gradient arena, each gradient multiplied by `factor`.
std::vector<LayerGradient> layer_gradients(const models::Transformer& model, double factor);

/// The values of one learned gain or scale: weights of norms, gains of heads, scales of residuals and
/// branches. Under gain_offset a norm's effective gain, weight + offset.
struct LayerGain {
  int64_t layer = 0;
  std::string name;
  double mean = 0, sd = 0, min = 0, max = 0, rms = 0;  // sd: of all values (n, not n - 1)
};
std::vector<LayerGain> layer_gains(const models::Transformer& model);

}  // namespace train
