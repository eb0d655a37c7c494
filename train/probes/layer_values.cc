// Read first: layer_values.h.
#include "train/probes/layer_values.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/optimizer.h"

namespace train {

using engine::Tensor;

int64_t layer_of(const std::string& parameter) {
  return parameter.starts_with("layers.") ? std::stoll(parameter.substr(7)) : -1;
}

std::string name_in_layer(const std::string& parameter) {
  return parameter.substr(parameter.find('.', 7) + 1);
}

namespace {

double mean_absolute(const Tensor& t) {
  const std::vector<double> values = t.to_vector();
  double sum = 0;
  for (const double x : values) sum += std::fabs(x);
  return values.empty() ? 0 : sum / double(values.size());
}

bool is_second_matrix(const std::string& name) {
  return name == "ffn.down.weight" || name == "ffn.experts.down.weight";
}

}  // namespace

std::vector<LayerGradient> layer_gradients(const models::Transformer& model, double factor) {
  std::vector<LayerGradient> out(size_t(model.config().layers));
  for (const engine::Parameter* p : model.parameters().all()) {
    const int64_t layer = layer_of(p->name);
    if (layer < 0) continue;
    LayerGradient& l = out[size_t(layer)];
    const double squares = engine::sum_of_squares(p->grad.reshape({p->grad.numel()})) * factor * factor;
    l.grad_norm += squares;
    l.parameters.emplace_back(name_in_layer(p->name), std::sqrt(squares));
    if (is_second_matrix(name_in_layer(p->name))) l.w2_grad = mean_absolute(p->grad) * std::fabs(factor);
  }
  for (LayerGradient& l : out) l.grad_norm = std::sqrt(l.grad_norm);
  return out;
}

std::vector<LayerGain> layer_gains(const models::Transformer& model) {
  std::vector<LayerGain> out;
  for (const engine::Parameter* p : model.parameters().all()) {
    if (layer_of(p->name) < 0 || p->name.ends_with(".bias")) continue;
    const auto group = model.parameters().group(*p);
    if (group != nn::ParameterGroup::gain && group != nn::ParameterGroup::norm) continue;
    const bool offset = group == nn::ParameterGroup::norm && p->name.ends_with("norm.weight");
    std::vector<double> values = p->value.to_vector();
    if (offset)
      for (double& x : values) x += model.config().gain_offset;
    LayerGain gain{.layer = layer_of(p->name), .name = name_in_layer(p->name)};
    const double n = double(values.size());
    double squares = 0;
    for (const double x : values) gain.mean += x / n, squares += x * x / n;
    for (const double x : values) gain.sd += (x - gain.mean) * (x - gain.mean) / n;
    gain.sd = std::sqrt(gain.sd);
    gain.rms = std::sqrt(squares);
    gain.min = *std::min_element(values.begin(), values.end());
    gain.max = *std::max_element(values.begin(), values.end());
    out.push_back(gain);
  }
  return out;
}

}  // namespace train
