// Read first: request.h.
#include "train/comparison/request.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "engine/base/check.h"
#include "engine/base/crc32c.h"
#include "models/init.h"
#include "nn/norm_presets.h"
#include "train/run_data.h"

namespace train {

using engine::check;
using engine::Json;

namespace {

// The budget as updates, but for its seconds: the same for all placements. Of several, the one that a
// training of its own would come to the end of first; 0: there are only seconds.
int64_t budget_steps(const TrainConfig& config, Match match) {
  const BudgetConfig& b = config.budget;
  check(b.seconds == 0 || match == Match::time,
        "budget.seconds: equal updates need a budget in updates, tokens or epochs (--match time takes "
        "seconds)");
  check(b.steps > 0 || b.tokens > 0 || b.epochs > 0 || b.seconds > 0,
        "budget: set budget.steps, budget.tokens or budget.epochs");
  if (b.steps == 0 && b.tokens == 0 && b.epochs == 0) return 0;
  const double rows = double(config.data.batch * config.data.accumulate);
  double least = b.steps > 0 ? double(b.steps) : INFINITY;
  if (b.epochs > 0) {
    const models::ModelConfig model = resolve_model_config(config);
    const RunData data = open_data(config, model.objective, model.context, 0, 1);
    least = std::min(least, std::ceil(b.epochs * double(data.training->rows_per_epoch()) / rows));
  }
  if (b.tokens > 0) {
    const int64_t context =
        config.data.context > 0 ? config.data.context : resolve_model_config(config).context;
    least = std::min(least, std::ceil(double(b.tokens) / (rows * double(context))));
  }
  return int64_t(std::max(1.0, least));
}

}  // namespace

void check_request(CompareRequest& request) {
  check(request.placements.size() >= 2 || (request.placements.size() == 1 && !request.rates.empty()),
        "a comparison needs two placements (one alone can be tuned with --lr)");
  check(!request.config.data.valid.empty(), "data.valid: a comparison needs validation data");
  check(request.config.eval.patience == 0,
        "eval.patience: runs that stop early do not see the same number of updates; set it to 0");
  check(std::find(request.placements.begin(), request.placements.end(), request.baseline) !=
            request.placements.end(),
        "--baseline ", request.baseline, ": is none of the placements");
  std::map<std::string, std::string> seen;  // as the model has it: as it was asked
  for (const std::string& placement : request.placements) {
    TrainConfig config = request.config;
    config.model["norms"] = placement;
    const models::ModelConfig model = resolve_model_config(config);
    const std::string spec =
        nn::print(model.norms) + " " + engine::json_text(models::to_json(model)["activation"]);
    const auto [first, fresh] = seen.emplace(spec, placement);
    check(fresh, "\"", placement, "\" is the same placement as \"", first->second, "\"");
    const std::string& init = request.same_init.empty() ? config.init : request.same_init;
    models::check_init(model, init);
    if (seen.size() > 1) continue;
    config.seed = 1;  // no part of what is compared
    const RunData data = open_run_data(config, model);
    request.contents = {{"train", data.training->position().fingerprint},
                        {"valid", data.validation->fingerprint()}};
  }
  for (const double lr : request.rates)
    for (const double other : request.rates)
      check(lr == other || ComparedRun{"", lr}.folder() != ComparedRun{"", other}.folder(),
            "--lr: two rates have the folder ", ComparedRun{"", lr}.folder().substr(6));
  request.steps = budget_steps(request.config, request.match);
}

Json to_json(const CompareRequest& request) {
  Json config = config_json(request.config);
  for (const char* key : {"threads", "seed"}) config.erase(key);  // results do not depend on these
  return {{"placements", request.placements},
          {"baseline", request.baseline},
          {"seeds", request.seeds},
          {"match", request.match == Match::time ? "time" : "steps"},
          {"same_init", request.same_init},
          {"lr", request.rates},
          {"lr_seeds", request.rate_seeds},
          {"extend", request.extend},
          {"stop", request.stop},
          {"stop_margin", request.stop_margin},
          {"config", config},
          {"contents", request.contents}};
}

std::string first_difference(const Json& a, const Json& b, const std::string& path) {
  if (!a.is_object() || !b.is_object()) return a == b ? "" : path;
  const auto under = [&](const std::string& key) { return path.empty() ? key : path + "." + key; };
  for (const auto& [key, value] : a.items()) {
    if (!b.contains(key)) return under(key);
    if (const std::string found = first_difference(value, b[key], under(key)); !found.empty()) return found;
  }
  for (const auto& [key, value] : b.items())
    if (!a.contains(key)) return under(key);
  return "";
}

std::string changed_key(const Json& before, Json now) {
  if (!before.contains("contents")) now.erase("contents");
  return first_difference(before, now);
}

std::string folder_name(const std::string& placement) {
  std::string out;
  bool changed = false;
  for (const char c : placement) {
    const bool plain = std::isalnum(uint8_t(c)) || c == '_' || c == '-' || c == '+';
    out += plain ? c : '_';
    changed = changed || !plain;
  }
  if (!changed && out.size() <= 60) return out;
  char sum[16];
  std::snprintf(sum, sizeof sum, "-%08x", engine::crc32c(placement.data(), placement.size()));
  return out.substr(0, 40) + sum;
}

std::string ComparedRun::folder() const {
  char rate[32];
  std::snprintf(rate, sizeof rate, "%.6g", lr);
  return "runs/" + folder_name(placement) + "/lr-" + rate + "/seed-" + std::to_string(seed);
}

TrainConfig config_of(const CompareRequest& request, const ComparedRun& run) {
  TrainConfig config = request.config;
  config.model["norms"] = run.placement;
  config.seed = run.seed;
  config.optim.lr = run.lr;
  config.budget = {.steps = run.steps};
  // The schedule decays to its end within the run's own budget.
  if (config.schedule.steps == 0 || request.match == Match::time) config.schedule.steps = run.steps;
  if (!request.same_init.empty()) config.init = request.same_init;
  // The page shows gradients and gains by layer.
  if (!run.sweep && config.log.layers == 0) config.log.layers = std::max<int64_t>(1, run.steps / 10);
  if (run.sweep) config.log.every = 1;  // the first loss of all counts as that of no training
  return config;
}

}  // namespace train
