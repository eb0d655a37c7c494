// Gradients over the updates of a run, and what figures make of them: means over a window of updates, and one
// placement's gradients relative to another's (NormFormer, figure 7). Read first: layer_values.h.
#pragma once

#include <optional>

#include "train/probes/layer_values.h"

namespace train {

/// One update: its loss, the norm of its mean gradient before clipping, and its layers. Gradients are those
/// of the mean loss over scored positions, without the auxiliary losses of routers.
struct GradientRecord {
  int64_t step = 0;
  double loss = 0, norm = 0;
  std::vector<LayerGradient> layers;
};

/// Updates first..last, both inclusive.
struct UpdateWindow {
  int64_t first = 1, last = 1;
};

/// Whether a gradient's norm is divided by the loss of its update before means are taken.
enum class Normalise { none, loss };

/// Means over a window, added up update by update: what is kept does not grow with it.
class WindowMean {
 public:
  /// Error: expected 1 <= first <= last.
  explicit WindowMean(UpdateWindow window);

  /// Updates outside the window do not count.
  void add(const GradientRecord& record);
  /// Means of the norms; `parameters` as in the first record. Error: an update of the window is missing.
  std::vector<LayerGradient> mean(Normalise normalise = Normalise::none) const;

 private:
  UpdateWindow window_;
  int64_t updates_ = 0;
  std::vector<LayerGradient> sums_, over_loss_;
};

/// For each layer and each of its parameters, mean over the window of the norm (over the loss) divided by the
/// same of the baseline; nothing where the baseline has no such parameter.
using RelativeGradients = std::vector<std::vector<std::pair<std::string, std::optional<double>>>>;
RelativeGradients relative_gradients(const WindowMean& ours, const WindowMean& baseline, Normalise normalise);

}  // namespace train
