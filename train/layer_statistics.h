// Per-layer norms for metrics.jsonl: gradients, weights, updates, activations, and what the learned gains
// have become. Computed every log.layers steps, between backward and the optimizer (metrics.h names the
// keys).
#pragma once

#include <vector>

#include "engine/base/json.h"
#include "models/transformer.h"
#include "train/probes/layer_values.h"
#include "train/tensorboard.h"

namespace train {

/// Root mean square of the residual stream after each layer's attention join, gathered during a forward pass.
struct ActivationProbe : nn::Probe {
  std::vector<double> rms;  // one a layer: of what the feed-forward's join sees
  void on_branch(int64_t layer, bool feed_forward, const engine::Tensor& residual,
                 const engine::Tensor& branch) override;
};

class LayerStatistics {
 public:
  explicit LayerStatistics(const models::Transformer& model) : model_(model) {}

  /// Before the optimizer: gradient norms, weight norms, a copy of the weights, and activations on a batch of
  /// the update. `factor` makes the gradients those of the mean loss: neither scaled nor clipped.
  void before_update(double factor, const models::InputRows& batch);
  /// After it: the sizes of the update. Returns {"layers": [...], "gains": [...]}.
  engine::Json after_update();
  /// Distributions of every learned gain and scale.
  void write_histograms(EventWriter& tensorboard, int64_t step) const;

 private:
  struct Layer {
    double weight_norm = 0, activation_rms = 0;
  };
  const models::Transformer& model_;
  std::vector<LayerGradient> gradients_;
  std::vector<Layer> layers_;
  engine::Tensor previous_;
};

}  // namespace train
