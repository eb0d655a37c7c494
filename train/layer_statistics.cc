// Read first: layer_statistics.h.
#include "train/layer_statistics.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/optimizer.h"

namespace train {

using engine::Json;
using engine::Tensor;

namespace {

Tensor flat(const Tensor& t) { return t.reshape({t.numel()}); }

double squared_distance(const Tensor& a_in, const Tensor& b_in) {
  const Tensor a = a_in.to(engine::Device::cpu), b = b_in.to(engine::Device::cpu);
  double sum = 0;
  engine::visit_float(a.dtype(), [&](auto t) {
    const auto *x = a.data<decltype(t)>(), *y = b.data<decltype(t)>();
    for (int64_t i = 0; i < a.numel(); ++i) {
      const double d = double(engine::widen(x[i])) - double(engine::widen(y[i]));
      sum += d * d;
    }
  });
  return sum;
}

}  // namespace

void ActivationProbe::on_branch(int64_t layer, bool feed_forward, const Tensor& residual, const Tensor&) {
  if (!feed_forward) return;
  if (int64_t(rms.size()) <= layer) rms.resize(size_t(layer) + 1);
  rms[size_t(layer)] =
      std::sqrt(engine::sum_of_squares(flat(residual)) / double(std::max<int64_t>(residual.numel(), 1)));
}

void LayerStatistics::before_update(double factor, const models::InputRows& batch) {
  ActivationProbe probe;
  nn::Context context = model_.context();
  context.probe = &probe;
  {
    const engine::TapeScope off(nullptr);
    model_.hidden(batch, context, context.precision.stream);
  }
  gradients_ = layer_gradients(model_, factor);
  layers_.assign(size_t(model_.config().layers), {});
  for (const engine::Parameter* p : model_.parameters().all()) {
    const int64_t layer = layer_of(p->name);
    if (layer < 0) continue;
    layers_[size_t(layer)].weight_norm += engine::sum_of_squares(flat(p->value));
  }
  for (size_t i = 0; i < layers_.size(); ++i) {
    layers_[i].weight_norm = std::sqrt(layers_[i].weight_norm);
    if (i < probe.rms.size()) layers_[i].activation_rms = probe.rms[i];
  }
  const Tensor& values = model_.parameters().values();
  previous_ = Tensor::empty(values.shape(), values.dtype());
  previous_.copy_from(values);
}

Json LayerStatistics::after_update() {
  std::vector<double> moved(layers_.size());
  Json gains = Json::array();
  for (const engine::Parameter* p : model_.parameters().all()) {
    const int64_t layer = layer_of(p->name);
    if (layer < 0) continue;
    const Tensor& v = p->value;
    moved[size_t(layer)] +=
        squared_distance(v, previous_.strided(v.shape(), engine::contiguous_strides(v.shape()), v.offset()));
  }
  for (const LayerGain& gain : layer_gains(model_))
    gains.push_back({{"layer", gain.layer},
                     {"name", gain.name},
                     {"mean", gain.mean},
                     {"sd", gain.sd},
                     {"min", gain.min},
                     {"max", gain.max},
                     {"rms", gain.rms}});
  Json layers = Json::array();
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& l = layers_[i];
    layers.push_back({{"layer", i},
                      {"grad_norm", gradients_[i].grad_norm},
                      {"weight_norm", l.weight_norm},
                      {"update_ratio", l.weight_norm > 0 ? std::sqrt(moved[i]) / l.weight_norm : 0},
                      {"activation_rms", l.activation_rms},
                      {"w2_grad", gradients_[i].w2_grad}});
  }
  previous_ = {};
  return {{"layers", layers}, {"gains", gains}};
}

void LayerStatistics::write_histograms(EventWriter& tensorboard, int64_t step) const {
  for (const engine::Parameter* p : model_.parameters().all()) {
    const nn::ParameterGroup group = model_.parameters().group(*p);
    if (group == nn::ParameterGroup::norm || group == nn::ParameterGroup::gain)
      tensorboard.histogram("gains/" + p->name, step, p->value.to_vector());
  }
}

}  // namespace train
