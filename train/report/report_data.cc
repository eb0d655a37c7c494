// Read first: report_data.h, metrics.h (the records).
#include "train/report/report_data.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <set>

#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/text.h"
#include "models/config.h"
#include "models/diagram/diagram.h"
#include "train/metrics.h"

namespace train {
namespace {

using engine::Json;
using Records = std::vector<Json>;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr size_t max_points = 3000, max_layer_records = 250;

double number(const Json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number() ? found->get<double>() : nan;
}

std::string format(const char* pattern, double x) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, x);
  return text;
}

/// The finite values of a key, in order.
std::vector<double> values(const Records& records, const char* key) {
  std::vector<double> out;
  for (const Json& r : records)
    if (const double x = number(r, key); std::isfinite(x)) out.push_back(x);
  return out;
}

/// One array a key; with more than max_points records each entry is the mean of a bucket. Missing values are
/// null.
Json columns(const Records& records, const std::vector<const char*>& keys) {
  const size_t bucket = (records.size() + max_points - 1) / max_points;
  Json out = Json::object();
  out["lines_per_point"] = std::max<size_t>(1, bucket);
  for (const char* key : keys) {
    Json column = Json::array();
    bool any = false;
    for (size_t i = 0; i < records.size(); i += bucket) {
      double sum = 0, count = 0;
      for (size_t j = i; j < std::min(i + bucket, records.size()); ++j)
        if (const double x = number(records[j], key); std::isfinite(x)) sum += x, count += 1;
      column.push_back(count > 0 ? Json(sum / count) : Json());
      any = any || count > 0;
    }
    if (any) out[key] = std::move(column);
  }
  return out;
}

int64_t layer_of(const Json& entry) {
  const auto found = entry.find("layer");
  const bool good = found != entry.end() && found->is_number_integer();
  const int64_t layer = good ? found->get<int64_t>() : -1;
  return layer >= 0 && layer < 4096 ? layer : -1;
}

/// Per-layer numbers over time: {"steps": […], "layers": […], "value": [[by layer] by step], "low": …,
/// "high": …}. `pick` gives (name, value, low, high) of one entry, for every name that the entry has.
struct Panels {
  std::map<std::string, Json> by_name;

  void add(const std::string& name, int64_t step, int64_t layer, double value, double low, double high) {
    Json& panel = by_name[name];
    if (panel.is_null())
      panel = {{"steps", Json::array()}, {"layers", Json::array()}, {"points", Json::array()}};
    if (panel["steps"].empty() || panel["steps"].back() != step) {
      panel["steps"].push_back(step);
      panel["points"].push_back(Json::array());
    }
    Json& layers = panel["layers"];
    if (std::find(layers.begin(), layers.end(), Json(layer)) == layers.end()) layers.push_back(layer);
    Json point = {layer, value};
    if (std::isfinite(low) && std::isfinite(high)) point.push_back(low), point.push_back(high);
    panel["points"].back().push_back(point);
  }

  Json json() const {
    Json out = Json::object();
    for (const auto& [name, panel] : by_name) {
      out[name] = panel;
      std::sort(out[name]["layers"].begin(), out[name]["layers"].end());
    }
    return out;
  }
};

/// At most max_layer_records records that hold `key`, evenly spread; the last one is always among them.
Records spread(const Records& records, const char* key) {
  Records holding;
  for (const Json& r : records)
    if (r.contains(key) && r[key].is_array()) holding.push_back(r);
  const size_t stride = (holding.size() + max_layer_records - 1) / max_layer_records;
  Records out;
  for (size_t i = 0; i < holding.size(); ++i)
    if ((holding.size() - 1 - i) % stride == 0) out.push_back(holding[i]);
  return out;
}

Json layer_panels(const Records& records) {
  Panels panels;
  for (const Json& record : spread(records, "layers"))
    for (const Json& entry : record["layers"]) {
      if (!entry.is_object() || layer_of(entry) < 0) continue;
      for (const auto& [name, value] : entry.items())
        if (name != "layer" && value.is_number())
          panels.add(name, record["step"].get<int64_t>(), layer_of(entry), value.get<double>(), nan, nan);
    }
  return panels.json();
}

Json gain_panels(const Records& records) {
  Panels panels;
  for (const Json& record : spread(records, "gains"))
    for (const Json& entry : record["gains"]) {
      if (!entry.is_object() || layer_of(entry) < 0 || !entry.contains("name") || !entry["name"].is_string())
        continue;
      if (const double mean = number(entry, "mean"); std::isfinite(mean))
        panels.add(entry["name"].get<std::string>(), record["step"].get<int64_t>(), layer_of(entry), mean,
                   number(entry, "min"), number(entry, "max"));
    }
  return panels.json();
}

void flatten(const Json& json, const std::string& path, std::map<std::string, std::string>& out) {
  if (json.is_object() && !json.empty()) {
    for (const auto& [key, value] : json.items()) flatten(value, path.empty() ? key : path + "." + key, out);
  } else {
    out[path] = json.is_string() ? json.get<std::string>() : engine::json_text(json);
  }
}

/// A picture of the model's norms; empty where the config has no whole model.
std::string placement_picture(const Json& config) {
  if (!config.is_object() || !config.contains("model") || !config["model"].is_object()) return {};
  try {
    const models::ModelConfig model = models::model_config_from_section(config["model"], "model");
    return models::diagram_svg(models::make_picture(model), "");
  } catch (const engine::Error&) {  // an older run, or a test's: the rest of the page is there
    return {};
  }
}

double median_or_nan(const std::vector<double>& x) { return x.empty() ? nan : engine::median(x); }

double mean_of_last_tenth(const std::vector<double>& x) {
  const size_t count = std::max<size_t>(1, x.size() / 10);
  double sum = 0;
  for (size_t i = x.size() - count; i < x.size(); ++i) sum += x[i];
  return sum / double(count);
}

void final_numbers(RunReport& run, const Records& train, const Records& valid) {
  const auto add = [&](const char* label, const std::string& text) { run.numbers.push_back({label, text}); };
  const auto last = [&](const char* key) {
    const std::vector<double> x = values(train, key);
    return x.empty() ? nan : x.back();
  };
  if (!train.empty()) add("updates", format("%.0f", last("step")));
  if (std::isfinite(last("tokens"))) add("tokens", engine::human_count(last("tokens")));
  if (std::isfinite(last("seconds"))) add("time", engine::human_seconds(last("seconds")));
  if (const auto x = values(train, "loss"); !x.empty())
    add("train loss", format("%.4f", mean_of_last_tenth(x)));
  run.best_valid_loss = std::numeric_limits<double>::infinity();
  double best_step = 0;
  for (const Json& r : valid)
    if (const double x = number(r, "valid_loss"); x < run.best_valid_loss)
      run.best_valid_loss = x, best_step = number(r, "step");
  if (std::isfinite(run.best_valid_loss)) {
    add("best valid loss", format("%.4f", run.best_valid_loss));
    add("best valid ppl", format("%.4g", std::exp(run.best_valid_loss)));
    add("at update", format("%.0f", best_step));
    add("last valid loss", format("%.4f", values(valid, "valid_loss").back()));
  }
  if (const double x = median_or_nan(values(train, "tokens_per_second")); std::isfinite(x))
    add("tokens/s", engine::human_count(x));
  if (const double x = median_or_nan(values(train, "mfu")); std::isfinite(x)) add("MFU", format("%.1f %%", 100 * x));
  if (const auto x = values(train, "peak_memory"); !x.empty())
    add("peak memory", engine::human_bytes(*std::max_element(x.begin(), x.end())));
  for (const char* key : {"model.norms", "model.preset"})
    if (run.config.count(key)) {
      run.norms = run.config.at(key);
      break;
    }
}

}  // namespace

RunReport read_run(const std::string& path) {
  engine::check(engine::is_directory(path), path,
                engine::file_exists(path) ? ": is a file, not a folder" : ": no such folder");
  engine::check(engine::file_exists(path + "/metrics.jsonl"), path,
                ": not a run folder: it has no metrics.jsonl");
  RunReport run;
  Records train, valid;
  Json samples = Json::array();
  for (Json& record : read_metrics(path + "/metrics.jsonl")) {
    if (const double x = number(record, "parameters"); std::isfinite(x))  // a run's first line, of any kind
      run.numbers.push_back({"parameters", engine::human_count(x)});
    if (record.contains("valid_loss")) valid.push_back(record);
    if (record.contains("sample") && record["sample"].is_string())
      samples.push_back({record["step"], record["sample"].get<std::string>().substr(0, 4096)});
    if (record.contains("loss") || record.contains("layers") || record.contains("gains"))
      train.push_back(std::move(record));
  }
  if (engine::file_exists(path + "/config.json")) {
    const Json config = engine::read_json(path + "/config.json");
    flatten(config, "", run.config);
    run.placement = placement_picture(config);
  }
  if (engine::file_exists(path + "/sample.txt")) {
    constexpr size_t kMost = 65536;
    run.sample = engine::read_file_start(path + "/sample.txt", kMost + 1);
    if (run.sample.size() > kMost) run.sample = run.sample.substr(0, kMost) + "\n[cut after 64 KiB]";
  }
  if (engine::file_exists(path + "/failure.txt")) run.failure = engine::read_file_start(path + "/failure.txt", 4096);
  final_numbers(run, train, valid);
  run.curves["train"] = columns(
      train, {"step", "tokens", "seconds", "loss", "lr", "grad_norm", "loss_scale", "tokens_per_second"});
  run.curves["valid"] = columns(valid, {"step", "tokens", "seconds", "valid_loss"});
  run.curves["layers"] = layer_panels(train);
  run.curves["gains"] = gain_panels(train);
  constexpr size_t kMostSamples = 50;
  const size_t stride = (samples.size() + kMostSamples - 1) / kMostSamples;
  run.curves["samples"] = Json::array();
  for (size_t i = 0; i < samples.size(); ++i)
    if ((samples.size() - 1 - i) % stride == 0) run.curves["samples"].push_back(samples[i]);
  const auto rate = run.config.find("optim.lr");
  if (rate != run.config.end()) run.curves["lr"] = std::strtod(rate->second.c_str(), nullptr);
  const std::vector<double> losses = values(train, "loss");
  if (std::isfinite(run.best_valid_loss)) run.curves["best"] = run.best_valid_loss;
  else if (!losses.empty()) run.curves["best"] = mean_of_last_tenth(losses);
  return run;
}

void name_runs(std::vector<RunReport>& runs, const std::vector<std::string>& paths) {
  std::map<std::string, int> times;
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::filesystem::path full = engine::absolute_path(paths[i]);
    runs[i].name = full.has_filename() ? full.filename().string() : full.parent_path().filename().string();
    ++times[runs[i].name];
  }
  // Paths of runs whose names clash, without the folders that all of them are in.
  std::vector<size_t> clashing;
  for (size_t i = 0; i < runs.size(); ++i)
    if (times[runs[i].name] > 1) clashing.push_back(i);
  size_t shared = 0;  // length of the common beginning, up to a slash
  for (const size_t i : clashing) {
    const std::string& first = paths[clashing[0]];
    const auto [a, b] = std::mismatch(first.begin(), first.end(), paths[i].begin(), paths[i].end());
    const size_t same = size_t(a - first.begin());
    shared = i == clashing[0] ? first.size() : std::min(shared, same);
    shared = shared == 0 ? 0 : first.rfind('/', shared - 1) + 1;
  }
  for (const size_t i : clashing) runs[i].name = paths[i].substr(std::min(shared, paths[i].size() - 1));
}

}  // namespace train
