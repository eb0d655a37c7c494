// Read first: run_result.h.
#include "train/comparison/run_result.h"

#include <algorithm>
#include <cmath>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "train/metrics.h"

namespace train {

using engine::Json;

namespace {
constexpr const char* kNames[] = {"open", "done", "failed", "stopped"};
std::string outcome_path(const std::string& folder) { return folder + "/outcome.json"; }

/// The number behind `key`, or 0 where there is none. Error: something else stands there.
double number_of(const Json& line, const char* key, const std::string& what) {
  return line.contains(key) && !line[key].is_null() ? engine::json_number(line[key], what + ": " + key) : 0;
}

std::optional<double> finite(const Json& value) {
  if (!value.is_number() || !std::isfinite(value.get<double>())) return {};
  return value.get<double>();
}
}  // namespace

const char* status_name(RunStatus status) { return kNames[size_t(status)]; }

RunResult read_result(const std::string& folder) {
  RunResult out;
  const std::string metrics = folder + "/metrics.jsonl";
  int64_t validated = 0;  // the last validation's update
  if (engine::file_exists(metrics))
    for (const Json& line : read_metrics(metrics)) {
      const int64_t step = line["step"].get<int64_t>();  // read_metrics gives no line without one
      out.updates = std::max(out.updates, step);
      if (line.contains("seconds")) out.seconds = number_of(line, "seconds", metrics);
      if (line.contains("loss") && !out.first_loss) out.first_loss = finite(line["loss"]);
      if (!line.contains("valid_loss")) continue;
      validated = step;
      out.loss = finite(line["valid_loss"]);
      if (out.loss) out.curve.emplace_back(step, *out.loss);
    }
  if (!engine::file_exists(outcome_path(folder))) return out;
  const std::string path = outcome_path(folder);
  const Json outcome = engine::read_json(path);
  engine::check(outcome.is_object(), path, ": expected an object, got ", outcome.type_name());
  const std::string status = engine::json_string(outcome.value("status", Json()), path + ": status");
  const auto found = std::find(std::begin(kNames), std::end(kNames), status);
  engine::check(found != std::end(kNames), outcome_path(folder), ": status \"", status, "\" is unknown");
  out.status = RunStatus(found - std::begin(kNames));
  if (out.status == RunStatus::stopped) out.stopped_at = int64_t(number_of(outcome, "update", path));
  if (out.status != RunStatus::done) return out;
  const auto last = int64_t(number_of(outcome, "update", path));
  engine::check(validated == last, metrics, ": damaged (the validation of update ", last,
                ", the last, is not there); remove the folder, and --resume trains the run again");
  // A loss that is no number is a failure, whatever the process said.
  if (!out.loss) out.status = RunStatus::failed;
  return out;
}

void write_outcome(const std::string& folder, RunStatus status, int64_t update) {
  engine::make_directories(folder);
  engine::write_file(outcome_path(folder),
                     engine::json_text(Json({{"status", status_name(status)}, {"update", update}})) + "\n");
}

double seconds_per_update(const std::string& folder) {
  std::optional<std::pair<int64_t, double>> first, last;
  const std::string metrics = folder + "/metrics.jsonl";
  for (const Json& line : read_metrics(metrics)) {
    const int64_t step = line["step"].get<int64_t>();
    if (!line.contains("loss") || step > 60) continue;
    const std::pair<int64_t, double> now{step, number_of(line, "seconds", metrics)};
    if (!first || step <= 10) first = now;
    last = now;
  }
  engine::check(first && last && last->first > first->first, folder,
                ": too few updates to measure their time");
  return (last->second - first->second) / double(last->first - first->first);
}

}  // namespace train
