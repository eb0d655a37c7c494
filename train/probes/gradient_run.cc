// Read first: gradient_run.h.
#include "train/probes/gradient_run.h"

#include <algorithm>
#include <set>

#include "train/evaluation/json_numbers.h"
#include "train/probes/probe_report.h"
#include "train/probes/watched_training.h"

namespace train {

using engine::Json;

namespace {

constexpr int64_t kCurveRows = 20;          // of a window with more updates as many, evenly spread
constexpr int64_t kTraceNumbers = 1 << 18;  // of updates that are kept because they come up, not asked for

int64_t numbers_in(const GradientRecord& record) {
  int64_t out = 2;
  for (const LayerGradient& l : record.layers) out += 2 + int64_t(l.parameters.size());
  return out;
}

bool contains(const std::vector<int64_t>& list, int64_t x) {
  return std::find(list.begin(), list.end(), x) != list.end();
}

void print_curve(const GradientRun& run, FILE* to) {
  const std::vector<size_t> layers = curve_layers(run.trace().front().layers.size());
  std::fprintf(to, "w2_grad by update\n%8s", "update");
  for (const size_t l : layers) std::fprintf(to, "  %12s", ("layer " + std::to_string(l)).c_str());
  std::fprintf(to, "\n");
  for (const int64_t step : curve_updates(run.question().window)) {
    std::fprintf(to, "%8lld", (long long)step);
    for (const size_t l : layers)
      std::fprintf(to, "  %12s", table_cell(run.at(step).layers[l].w2_grad, "%.5g").c_str());
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

GradientRun::GradientRun(const std::string& placement, int64_t seed, int64_t updates,
                         const GradientQuestion& question)
    : placement_(placement), seed_(seed), updates_(updates), question_(question), window_(question.window) {}

void GradientRun::add(const GradientRecord& record) {
  window_.add(record);
  if (trace_.empty()) every_ = (updates_ * numbers_in(record) + kTraceNumbers - 1) / kTraceNumbers;
  const int64_t step = record.step;
  if ((step - 1) % every_ == 0 || step == updates_ || contains(question_.at, step) ||
      contains(curve_updates(question_.window), step))
    trace_.push_back(record);
}

const GradientRecord& GradientRun::at(int64_t step) const {
  for (const GradientRecord& r : trace_)
    if (r.step == step) return r;
  engine::fail("update ", step, ": the run has no gradients of it");
}

std::vector<int64_t> curve_updates(UpdateWindow window) {
  const int64_t updates = window.last - window.first + 1, rows = std::min(updates, kCurveRows);
  std::vector<int64_t> out;
  for (int64_t i = 0; i < rows; ++i)
    out.push_back(window.first + (rows > 1 ? i * (updates - 1) / (rows - 1) : 0));
  return out;
}

GradientRun train_for_gradients(TrainConfig config, const std::string& placement,
                                const GradientQuestion& question,
                                const std::function<void(const GradientRecord&)>& each) {
  GradientRun run(placement, config.seed, config.budget.steps, question);
  train_watched(std::move(config), [&](const UpdateView& update) {
    const GradientRecord record{update.step, update.loss, update.norm,
                                layer_gradients(update.model, update.factor)};
    run.add(record);
    if (each) each(record);
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

namespace {

Json record_json(const GradientRecord& record) {
  Json out = {
      {"update", record.step}, {"loss", number_or_null(record.loss)}, {"norm", number_or_null(record.norm)}};
  out.update(gradients_json(record.layers));
  return out;
}

}  // namespace

Json gradient_run_json(const GradientRun& run, const GradientRun* baseline) {
  const GradientQuestion& question = run.question();
  const std::vector<LayerGradient> mean = run.window().mean();
  Json out = {{"placement", run.placement()}, {"layers", mean.size()}, {"seed", run.seed()}};
  out["every"] = run.every();
  for (const char* list : {"updates", "loss", "norm", "w2_grad", "grad_norm", "parameters"})
    out[list] = Json::array();
  for (const GradientRecord& r : run.trace()) {
    Json record = record_json(r);
    out["updates"].push_back(r.step);
    for (const char* list : {"loss", "norm", "w2_grad", "grad_norm", "parameters"})
      out[list].push_back(std::move(record[list]));
  }
  out["window"] = {{"first", question.window.first}, {"last", question.window.last}};
  out["window"].update(gradients_json(mean));
  out["window"]["ratio_first_last"] = number_or_null(ratio_first_last(mean));
  out["at"] = Json::array();
  for (const int64_t step : question.at) out["at"].push_back(record_json(run.at(step)));
  if (baseline == nullptr) return out;
  Json ratios = Json::array();
  for (const auto& layer : relative_gradients(run.window(), baseline->window(), question.normalise)) {
    Json of_layer = Json::object();
    for (const auto& [name, ratio] : layer) of_layer[name] = number_or_null(ratio);
    ratios.push_back(of_layer);
  }
  out["relative"] = {{"baseline", baseline->placement()},
                     {"normalise", question.normalise == Normalise::loss ? "loss" : "none"},
                     {"ratios", ratios}};
  return out;
}

void print_gradient_run(const GradientRun& run, const Json& json, FILE* to) {
  const GradientQuestion& question = run.question();
  std::fprintf(to, "%s, seed %lld, updates %lld..%lld\n", run.placement().c_str(), (long long)run.seed(),
               (long long)question.window.first, (long long)question.window.last);
  print_gradients(run.window().mean(), to);
  print_curve(run, to);
  for (const int64_t step : question.at) {
    std::fprintf(to, "update %lld\n", (long long)step);
    print_gradients(run.at(step).layers, to);
  }
  if (json.contains("relative")) print_relative(json["relative"], to);
}

std::string gradient_line(const std::string& placement, int64_t seed, const GradientRecord& record) {
  Json line = {{"placement", placement}, {"seed", seed}};
  line.update(record_json(record));
  return engine::json_text(line) + "\n";
}

}  // namespace train
