// Read first: gradient_trace.h.
#include "train/probes/gradient_trace.h"

#include <algorithm>

#include "engine/base/check.h"

namespace train {

using engine::check;

namespace {

// Every number of each layer.
void divide(std::vector<LayerGradient>& layers, double by) {
  for (LayerGradient& l : layers) {
    l.w2_grad /= by, l.grad_norm /= by;
    for (auto& [name, norm] : l.parameters) norm /= by;
  }
}

void add_to(std::vector<LayerGradient>& sums, std::vector<LayerGradient> layers) {
  if (sums.empty()) {
    sums = std::move(layers);
    return;
  }
  for (size_t l = 0; l < sums.size(); ++l) {
    sums[l].w2_grad += layers[l].w2_grad, sums[l].grad_norm += layers[l].grad_norm;
    for (size_t p = 0; p < sums[l].parameters.size(); ++p)
      sums[l].parameters[p].second += layers[l].parameters[p].second;
  }
}

}  // namespace

WindowMean::WindowMean(UpdateWindow window) : window_(window) {
  check(window.first >= 1 && window.first <= window.last, "window ", window.first, "..", window.last,
        ": expected A..B with 1 <= A <= B");
}

void WindowMean::add(const GradientRecord& record) {
  if (record.step < window_.first || record.step > window_.last) return;
  ++updates_;
  add_to(sums_, record.layers);
  std::vector<LayerGradient> over_loss = record.layers;
  divide(over_loss, record.loss);
  add_to(over_loss_, std::move(over_loss));
}

std::vector<LayerGradient> WindowMean::mean(Normalise normalise) const {
  check(updates_ == window_.last - window_.first + 1, "window ", window_.first, "..", window_.last,
        ": the run has gradients of ", updates_, " of its updates");
  std::vector<LayerGradient> out = normalise == Normalise::loss ? over_loss_ : sums_;
  divide(out, double(updates_));
  return out;
}

RelativeGradients relative_gradients(const WindowMean& ours_in, const WindowMean& baseline,
                                     Normalise normalise) {
  const std::vector<LayerGradient> ours = ours_in.mean(normalise), theirs = baseline.mean(normalise);
  check(ours.size() == theirs.size(), "relative gradients: ", ours.size(), " layers beside ", theirs.size());
  RelativeGradients out(ours.size());
  for (size_t l = 0; l < out.size(); ++l)
    for (const auto& [name, norm] : ours[l].parameters) {
      const auto& others = theirs[l].parameters;
      const auto found =
          std::find_if(others.begin(), others.end(), [&](const auto& other) { return other.first == name; });
      std::optional<double> ratio;
      if (found != others.end() && found->second > 0) ratio = norm / found->second;
      out[l].emplace_back(name, ratio);
    }
  return out;
}

}  // namespace train
