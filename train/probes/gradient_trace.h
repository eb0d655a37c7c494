// Gradients over the updates of a run, and what figures make of them: means over a window of updates, and one
// placement's gradients relative to another's (NormFormer, figure 7). Read first: layer_values.h.
#pragma once

#include <optional>

#include "train/probes/layer_values.h"

namespace train {

/// One update: its loss, the norm of its mean gradient before clipping, and its layers.
struct GradientRecord {
  int64_t step = 0;
  double loss = 0, norm = 0;
  std::vector<LayerGradient> layers;
};

/// Updates first..last, both inclusive.
struct UpdateWindow {
  int64_t first = 1, last = 1;
};

/// Means of the norms over the window's updates; `parameters` as in the first record. Error: the trace lacks
/// an update of the window.
std::vector<LayerGradient> window_mean(const std::vector<GradientRecord>& trace, UpdateWindow window);

/// Whether a gradient's norm is divided by the loss of its update before means are taken.
enum class Normalise { none, loss };

/// For each layer and each of its parameters, mean over the window of the norm (over the loss) divided by the
/// same of the baseline; nothing where the baseline has no such parameter.
using RelativeGradients = std::vector<std::vector<std::pair<std::string, std::optional<double>>>>;
RelativeGradients relative_gradients(const std::vector<GradientRecord>& trace,
                                     const std::vector<GradientRecord>& baseline, UpdateWindow window,
                                     Normalise normalise);

}  // namespace train
