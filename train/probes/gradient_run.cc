// Read first: gradient_run.h.
#include "train/probes/gradient_run.h"

#include <set>

#include "train/evaluation/json_numbers.h"
#include "train/probes/probe_report.h"
#include "train/probes/watched_training.h"

namespace train {

using engine::Json;

namespace {

constexpr int64_t kCurveRows = 20;  // of a window with more updates as many, evenly spread

const GradientRecord& record_of(const GradientRun& run, int64_t step) {
  for (const GradientRecord& r : run.trace)
    if (r.step == step) return r;
  engine::fail("update ", step, ": the run has no gradients of it");
}

void print_curve(const GradientRun& run, UpdateWindow window, FILE* to) {
  const std::vector<size_t> layers = curve_layers(size_t(run.layers));
  std::fprintf(to, "w2_grad by update\n%8s", "update");
  for (const size_t l : layers) std::fprintf(to, "  %12s", ("layer " + std::to_string(l)).c_str());
  std::fprintf(to, "\n");
  const int64_t updates = window.last - window.first + 1, rows = std::min(updates, kCurveRows);
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t step = window.first + (rows > 1 ? i * (updates - 1) / (rows - 1) : 0);
    std::fprintf(to, "%8lld", (long long)step);
    for (const size_t l : layers)
      std::fprintf(to, "  %12s", table_cell(record_of(run, step).layers[l].w2_grad, "%.5g").c_str());
    std::fprintf(to, "\n");
  }
}

void print_relative(const Json& relative, FILE* to) {
  std::fprintf(to, "relative to %s:\n", relative["baseline"].get<std::string>().c_str());
  for (const auto& [name, first] : relative["ratios"][0].items()) {
    std::fprintf(to, "  %-24s", name.c_str());
    for (const Json& layer : relative["ratios"]) {
      const Json& ratio = layer.contains(name) ? layer[name] : Json();
      if (ratio.is_number()) std::fprintf(to, " %8.3f", ratio.get<double>());
      if (!ratio.is_number()) std::fprintf(to, " %8s", "-");
    }
    std::fprintf(to, "\n");
  }
}

}  // namespace

GradientRun train_for_gradients(TrainConfig config, const std::string& placement) {
  GradientRun run{.placement = placement, .seed = config.seed};
  train_watched(std::move(config), [&](const UpdateView& update) {
    run.layers = update.model.config().layers;
    run.trace.push_back(
        {update.step, update.loss, update.norm, layer_gradients(update.model, update.factor)});
    return true;
  });
  return run;
}

std::vector<size_t> curve_layers(size_t layers) {
  std::set<size_t> out;
  for (const size_t layer : {size_t(0), size_t(1), layers / 2, layers - 2, layers - 1})
    if (layer < layers) out.insert(layer);  // (of one layer, layers - 2 is huge)
  return {out.begin(), out.end()};
}

Json gradient_run_json(const GradientRun& run, const GradientQuestion& question,
                       const GradientRun* baseline) {
  Json out = {{"placement", run.placement}, {"layers", run.layers}, {"seed", run.seed}};
  for (const char* list : {"updates", "loss", "norm", "w2_grad", "grad_norm", "parameters"})
    out[list] = Json::array();
  for (const GradientRecord& r : run.trace) {
    out["updates"].push_back(r.step);
    out["loss"].push_back(number_or_null(r.loss));
    out["norm"].push_back(number_or_null(r.norm));
    Json layers = gradients_json(r.layers);
    for (const char* list : {"w2_grad", "grad_norm", "parameters"})
      out[list].push_back(std::move(layers[list]));
  }
  const std::vector<LayerGradient> mean = window_mean(run.trace, question.window);
  out["window"] = {{"first", question.window.first}, {"last", question.window.last}};
  out["window"].update(gradients_json(mean));
  out["window"]["ratio_first_last"] = number_or_null(ratio_first_last(mean));
  out["at"] = Json::array();
  for (const int64_t step : question.at) {
    Json record = {{"update", step}};
    record.update(gradients_json(record_of(run, step).layers));
    out["at"].push_back(record);
  }
  if (baseline == nullptr) return out;
  Json ratios = Json::array();
  for (const auto& layer :
       relative_gradients(run.trace, baseline->trace, question.window, question.normalise)) {
    Json of_layer = Json::object();
    for (const auto& [name, ratio] : layer) of_layer[name] = number_or_null(ratio);
    ratios.push_back(of_layer);
  }
  out["relative"] = {{"baseline", baseline->placement},
                     {"normalise", question.normalise == Normalise::loss ? "loss" : "none"},
                     {"ratios", ratios}};
  return out;
}

void print_gradient_run(const GradientRun& run, const GradientQuestion& question, const Json& json,
                        FILE* to) {
  std::fprintf(to, "%s, seed %lld, updates %lld..%lld\n", run.placement.c_str(), (long long)run.seed,
               (long long)question.window.first, (long long)question.window.last);
  print_gradients(window_mean(run.trace, question.window), to);
  print_curve(run, question.window, to);
  for (const int64_t step : question.at) {
    std::fprintf(to, "update %lld\n", (long long)step);
    print_gradients(record_of(run, step).layers, to);
  }
  if (json.contains("relative")) print_relative(json["relative"], to);
}

}  // namespace train
