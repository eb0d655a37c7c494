// Read first: probe_report.h.
#include "train/probes/probe_report.h"

#include <cmath>
#include <cstdio>
#include <string>

#include "train/evaluation/json_numbers.h"

namespace train {

using engine::Json;

std::string table_cell(double x, const char* format) {
  if (std::isnan(x)) return "-";
  char text[64];
  std::snprintf(text, sizeof text, format, x);
  return text;
}

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

void print_gradients(const std::vector<LayerGradient>& layers, FILE* to) {
  std::fprintf(to, "%5s  %12s  %12s\n", "layer", "w2_grad", "grad_norm");
  for (size_t l = 0; l < layers.size(); ++l)
    std::fprintf(to, "%5zu  %12s  %12s\n", l, table_cell(layers[l].w2_grad, "%.5g").c_str(),
                 table_cell(layers[l].grad_norm, "%.5g").c_str());
  std::fprintf(to, "w2_grad of the first layer over the last: %s\n",
               table_cell(ratio_first_last(layers), "%.4g").c_str());
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

void print_gains(const std::vector<LayerGain>& gains, FILE* to) {
  std::fprintf(to, "%5s  %-24s %9s %9s %9s %9s\n", "layer", "gain", "mean", "sd", "min", "max");
  for (const LayerGain& g : gains)
    std::fprintf(to, "%5lld  %-24s %9s %9s %9s %9s\n", (long long)g.layer, g.name.c_str(),
                 table_cell(g.mean, "%.4f").c_str(), table_cell(g.sd, "%.4f").c_str(),
                 table_cell(g.min, "%.4f").c_str(), table_cell(g.max, "%.4f").c_str());
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

void print_attention(const std::vector<LayerAttention>& layers, FILE* to) {
  std::fprintf(to, "%5s  %9s %9s %10s  %13s %13s\n", "layer", "entropy", "relative", "logit_max",
               "rms, attention", "feed-forward");
  for (size_t l = 0; l < layers.size(); ++l) {
    const LayerAttention& a = layers[l];
    std::fprintf(to, "%5zu  %9s %9s %10s  %13s %13s\n", l, table_cell(a.entropy, "%.4f").c_str(),
                 table_cell(a.relative.value_or(NAN), "%.4f").c_str(),
                 table_cell(a.logit_max, "%.4g").c_str(), table_cell(a.attn_rms, "%.4g").c_str(),
                 table_cell(a.ffn_rms, "%.4g").c_str());
  }
}

}  // namespace train
