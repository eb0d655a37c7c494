// Read first: gradient_trace.h.
#include "train/probes/gradient_trace.h"

#include <map>

#include "engine/base/check.h"

namespace train {

using engine::check;

namespace {

std::vector<const GradientRecord*> in_window(const std::vector<GradientRecord>& trace, UpdateWindow window) {
  check(window.first >= 1 && window.first <= window.last, "window ", window.first, "..", window.last,
        ": expected A..B with 1 <= A <= B");
  std::vector<const GradientRecord*> out;
  for (const GradientRecord& r : trace)
    if (r.step >= window.first && r.step <= window.last) out.push_back(&r);
  check(int64_t(out.size()) == window.last - window.first + 1, "window ", window.first, "..", window.last,
        ": the run has gradients of ", out.size(), " of its updates");
  return out;
}

// By layer and parameter.
using Means = std::vector<std::map<std::string, double>>;
Means mean_norms(const std::vector<GradientRecord>& trace, UpdateWindow window, Normalise normalise) {
  const auto records = in_window(trace, window);
  Means out(records[0]->layers.size());
  for (const GradientRecord* r : records)
    for (size_t l = 0; l < r->layers.size(); ++l)
      for (const auto& [name, norm] : r->layers[l].parameters)
        out[l][name] += norm / (normalise == Normalise::loss ? r->loss : 1) / double(records.size());
  return out;
}

}  // namespace

std::vector<LayerGradient> window_mean(const std::vector<GradientRecord>& trace, UpdateWindow window) {
  const auto records = in_window(trace, window);
  const double n = double(records.size());
  std::vector<LayerGradient> out = records[0]->layers;
  for (size_t l = 0; l < out.size(); ++l) {
    LayerGradient& mean = out[l];
    const auto over_updates = [&](const auto& value) {
      double sum = 0;
      for (const GradientRecord* r : records) sum += value(r->layers[l]);
      return sum / n;
    };
    mean.w2_grad = over_updates([](const LayerGradient& x) { return x.w2_grad; });
    mean.grad_norm = over_updates([](const LayerGradient& x) { return x.grad_norm; });
    for (size_t p = 0; p < mean.parameters.size(); ++p)
      mean.parameters[p].second =
          over_updates([&](const LayerGradient& x) { return x.parameters[p].second; });
  }
  return out;
}

RelativeGradients relative_gradients(const std::vector<GradientRecord>& trace,
                                     const std::vector<GradientRecord>& baseline, UpdateWindow window,
                                     Normalise normalise) {
  const Means ours = mean_norms(trace, window, normalise), theirs = mean_norms(baseline, window, normalise);
  check(ours.size() == theirs.size(), "relative gradients: ", ours.size(), " layers beside ", theirs.size());
  RelativeGradients out(ours.size());
  for (size_t l = 0; l < out.size(); ++l)
    for (const auto& [name, norm] : in_window(trace, window)[0]->layers[l].parameters) {
      const auto found = theirs[l].find(name);
      std::optional<double> ratio;
      if (found != theirs[l].end() && found->second > 0) ratio = ours[l].at(name) / found->second;
      out[l].emplace_back(name, ratio);
    }
  return out;
}

}  // namespace train
