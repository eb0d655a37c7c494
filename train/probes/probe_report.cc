// Read first: probe_report.h.
#include "train/probes/probe_report.h"

#include <algorithm>
#include <cstdio>

#include "train/evaluation/json_numbers.h"

namespace train {

using engine::Json;

Json gradients_json(const std::vector<LayerGradient>& layers) {
  Json out = {{"w2_grad", Json::array()}, {"grad_norm", Json::array()}, {"parameters", Json::array()}};
  for (const LayerGradient& l : layers) {
    out["w2_grad"].push_back(number_or_null(l.w2_grad));
    out["grad_norm"].push_back(number_or_null(l.grad_norm));
    Json norms = Json::object();
    for (const auto& [name, norm] : l.parameters) norms[name] = number_or_null(norm);
    out["parameters"].push_back(norms);
  }
  return out;
}

double ratio_first_last(const std::vector<LayerGradient>& layers) {
  return layers.front().w2_grad / layers.back().w2_grad;
}

void print_gradients(const std::vector<LayerGradient>& layers) {
  std::printf("%5s  %12s  %12s\n", "layer", "w2_grad", "grad_norm");
  for (size_t l = 0; l < layers.size(); ++l)
    std::printf("%5zu  %12.5g  %12.5g\n", l, layers[l].w2_grad, layers[l].grad_norm);
  std::printf("w2_grad of the first layer over the last: %.4g\n", ratio_first_last(layers));
}

Json gains_json(const std::vector<LayerGain>& gains, int64_t layers) {
  Json list = Json::array(), means = Json::object(), depth = Json::array();
  for (const LayerGain& g : gains) {
    list.push_back({{"layer", g.layer},
                    {"name", g.name},
                    {"mean", number_or_null(g.mean)},
                    {"sd", number_or_null(g.sd)},
                    {"min", number_or_null(g.min)},
                    {"max", number_or_null(g.max)},
                    {"rms", number_or_null(g.rms)}});
    if (!means.contains(g.name)) means[g.name] = Json::array_t(size_t(layers), nullptr);
    means[g.name][size_t(g.layer)] = number_or_null(g.mean);
  }
  for (int64_t l = 0; l < layers; ++l) depth.push_back(double(l) / double(layers));
  return {{"gains", list}, {"means", means}, {"depth", depth}};
}

void print_gains(const std::vector<LayerGain>& gains) {
  std::printf("%5s  %-24s %9s %9s %9s %9s\n", "layer", "gain", "mean", "sd", "min", "max");
  for (const LayerGain& g : gains)
    std::printf("%5lld  %-24s %9.4f %9.4f %9.4f %9.4f\n", (long long)g.layer, g.name.c_str(), g.mean, g.sd,
                g.min, g.max);
}

Json attention_json(const std::vector<LayerAttention>& layers) {
  Json out = {{"entropy", Json::array()},
              {"relative", Json::array()},
              {"per_head", Json::array()},
              {"logit_max", Json::array()},
              {"residual_rms", Json::array()}};
  for (const LayerAttention& l : layers) {
    out["entropy"].push_back(number_or_null(l.entropy));
    out["relative"].push_back(number_or_null(l.relative));
    Json heads = Json::array();
    for (const double e : l.per_head) heads.push_back(number_or_null(e));
    out["per_head"].push_back(heads);
    out["logit_max"].push_back(number_or_null(l.logit_max));
    out["residual_rms"].push_back({{"attn", number_or_null(l.attn_rms)}, {"ffn", number_or_null(l.ffn_rms)}});
  }
  return out;
}

void print_attention(const std::vector<LayerAttention>& layers) {
  std::printf("%5s  %9s %9s %10s  %13s %13s\n", "layer", "entropy", "relative", "logit_max", "rms, attention",
              "feed-forward");
  for (size_t l = 0; l < layers.size(); ++l) {
    const LayerAttention& a = layers[l];
    std::printf("%5zu  %9.4f %9.4f %10.4g  %13.4g %13.4g\n", l, a.entropy, a.relative.value_or(0),
                a.logit_max, a.attn_rms, a.ffn_rms);
  }
}

}  // namespace train
