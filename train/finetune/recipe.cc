// Read first: recipe.h.
#include "train/finetune/recipe.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace train {

using engine::check;
using engine::Json;

namespace {

// fairseq/examples/roberta/config/finetuning/*.yaml: rate, rows of an update, share of warm-up. STS-B's is
// 214 of 3,598 updates, less than 0.06 of them.
struct Published {
  const char* task;
  double lr;
  int64_t batch;
  double warmup;
};
constexpr Published kFairseq[] = {
    {"cola", 1e-5, 16, 0.06}, {"mnli", 1e-5, 32, 0.06},   {"mrpc", 1e-5, 16, 0.06},
    {"qnli", 1e-5, 32, 0.06}, {"qqp", 1e-5, 32, 0.25},    {"rte", 2e-5, 16, 0.06},
    {"sst2", 1e-5, 32, 0.06}, {"stsb", 2e-5, 16, 0.0595}, {"wnli", 1e-5, 16, 0.06},
};
constexpr int64_t kHfBatch = 8, kHfLength = 128;
constexpr double kHfRate = 5e-5;

const Published& published(const std::string& task) {
  const auto found =
      std::find_if(std::begin(kFairseq), std::end(kFairseq), [&](const Published& p) { return task == p.task; });
  return *found;  // every task has a row
}

Json fairseq_recipe(const std::string& task) {
  return {{"optim",
           {{"name", "adam"},
            {"lr", published(task).lr},
            {"betas", {0.9, 0.98}},
            {"eps", 1e-6},
            {"weight_decay", 0.1},
            {"decay", "all"},
            {"clip", 0}}},
          {"schedule", {{"name", "linear"}, {"counting", "completed"}}},
          {"loss_scale", {{"init", 4}, {"floor", 1}, {"window", 128}}},
          {"dropout", {{"residual", 0.1}, {"attention", 0.1}}},
          {"data", {{"batch", published(task).batch}}},
          {"budget", {{"epochs", 10}}}};
}

Json hf_recipe() {
  return {{"optim",
           {{"name", "adamw"},
            {"lr", kHfRate},
            {"betas", {0.9, 0.999}},
            {"eps", 1e-8},
            {"weight_decay", 0},
            {"decay", "matrices"},
            {"clip", 1.0}}},
          {"schedule", {{"name", "linear"}, {"counting", "completed"}}},
          {"dropout", {{"residual", 0.1}, {"attention", 0.1}, {"head", 0.1}}},
          {"data", {{"batch", kHfBatch}}},
          {"budget", {{"epochs", 3}}}};
}

// What is kept while a run goes on, under both recipes. Its checkpoints are removed when it is finished.
Json bookkeeping() {
  return {{"checkpoint", {{"keep", 1}, {"keep_best", 0}}}, {"log", {{"every", 50}, {"tensorboard", false}}}};
}

// The keys of the training config that have no meaning in fine-tuning, and why; "x." are all that begin so.
struct Refused {
  const char *key, *reason;
};
constexpr Refused kRefused[] = {
    {"model.", "--model has it"},
    {"from", "--model has it"},
    {"data.batch", "--batch has it"},
    {"data.context", "--max-length has it"},
    {"data.", "the rows are those of --task and --data"},
    {"init", "the model has its values, and a new head the recipe's"},
    {"log.samples", "a classifier writes no text"},
    {"seed", "--seeds has it"},
    {"device", "--device has it"},
    {"threads", "--threads has it"},
};

void check_key(const std::string& override_text) {
  const std::string path = override_text.substr(0, override_text.find('='));
  if (path == "data.order") return;
  for (const auto& [key, reason] : kRefused) {
    const bool section = std::string(key).ends_with('.');
    check(section ? !path.starts_with(key) : path != key, "--set ", override_text,
          ": fine-tuning does not read this key; ", reason);
  }
}

// The overrides into the recipe; schedule.warmup between 0 and 1 is a share of the updates.
std::optional<double> apply_overrides(Json& config, const std::vector<std::string>& overrides,
                                      double recipes_share) {
  std::optional<double> share = recipes_share;
  for (const std::string& text : overrides) {
    apply_override(config, text);  // unknown keys have their message there
    check_key(text);
    if (!text.starts_with("schedule.warmup=")) continue;
    Json& warmup = config["schedule"]["warmup"];
    share.reset();
    if (!warmup.is_number_float() || !(warmup.get<double>() > 0 && warmup.get<double>() < 1)) continue;
    share = warmup.get<double>();
    warmup = 0;
  }
  return share;
}

}  // namespace

std::vector<std::string> metrics_of(const data::GlueTask& task) {
  switch (task.metric) {
    case data::GlueMetric::matthews: return {"matthews", "accuracy"};
    case data::GlueMetric::accuracy_and_f1: return {"accuracy_f1", "accuracy", "f1"};
    case data::GlueMetric::pearson_and_spearman: return {"pearson_spearman", "pearson", "spearman"};
    case data::GlueMetric::accuracy: break;
  }
  if (task.name == "mnli") return {"accuracy", "accuracy_mm"};
  return {"accuracy"};
}

FineTuneRequest fine_tune_request(const FineTuneOptions& options) {
  FineTuneRequest r;
  r.task = data::glue_task(options.task);
  r.recipe = options.recipe == "hf" ? Recipe::hf : Recipe::fairseq;
  const bool fairseq = r.recipe == Recipe::fairseq;
  Json config = fairseq ? fairseq_recipe(r.task.name) : hf_recipe();
  config.update(bookkeeping());
  r.warmup_share =
      apply_overrides(config, options.overrides, fairseq ? published(r.task.name).warmup : 0);
  if (options.batch > 0) config["data"]["batch"] = options.batch;
  if (options.epochs > 0) config["budget"]["epochs"] = options.epochs;
  r.f64 = options.precision == "f64";
  if (!options.precision.empty()) {
    check(config.value("precision", options.precision) == options.precision, "--set precision: --precision ",
          options.precision, " says another");
    config["precision"] = r.f64 ? "f32" : options.precision;
  }
  // The rules for validations ask for data and for a number of updates: there is one after each epoch, too.
  config["data"]["valid"] = "dev";
  Json& every = config["eval"]["every"];
  const bool epochs_alone = every.is_null() || every == 0;
  if (epochs_alone) every = 1;
  r.config = parse_config(config, "the recipe with --set");
  r.config.data.valid.clear();
  if (epochs_alone) r.config.eval.every = 0;
  const BudgetConfig& budget = r.config.budget;
  check(budget.epochs > 0 || budget.steps > 0 || budget.tokens > 0 || budget.seconds > 0,
        "budget.epochs: nothing to train");
  check(budget.epochs > 0 || budget.steps > 0 || r.warmup_share.value_or(0) == 0,
        "schedule.warmup: a share of the updates, whose number a budget in tokens or seconds alone does not "
        "tell; give a number of updates (--set schedule.warmup=N)");
  r.config.device = options.device;
  r.rates = options.rates.empty() ? std::vector<double>{r.config.optim.lr} : options.rates;
  r.seeds = options.seeds.empty() ? std::vector<int64_t>{1} : options.seeds;
  r.max_length_given = options.max_length >= 0;
  r.max_length = r.max_length_given ? options.max_length : fairseq ? 0 : kHfLength;
  r.head = options.head;

  const std::vector<std::string> metrics = metrics_of(r.task);
  r.select = options.select.empty() ? metrics[0] : options.select;
  check(std::find(metrics.begin(), metrics.end(), r.select) != metrics.end(), "--select ", r.select, ": ",
        r.task.name, " has ", engine::one_of(metrics));
  if (fairseq && options.select.empty())
    r.epoch_by = r.task.classes.empty() ? "pearson" : "accuracy";
  else if (fairseq)
    r.epoch_by = r.select;
  return r;
}

Json to_json(const FineTuneRequest& r) {
  constexpr const char* heads[] = {"automatic", "new", "keep"};
  Json config = config_json(r.config);
  // Of no account: threads and device, and what a request says elsewhere.
  for (const char* key : {"threads", "seed", "model", "device", "log", "checkpoint"}) config.erase(key);
  config["optim"].erase("lr");
  return {{"task", r.task.name},
          {"recipe", r.recipe == Recipe::fairseq ? "fairseq" : "hf"},
          {"model", r.model},
          {"data", r.data},
          {"tokenizer", r.tokenizer},
          {"head", heads[size_t(r.head)]},
          {"f64", r.f64},
          {"warmup_share", r.warmup_share ? Json(*r.warmup_share) : Json()},
          {"lr", r.rates},
          {"seeds", r.seeds},
          {"max_length", r.max_length},
          {"select", r.select},
          {"epoch_by", r.epoch_by.empty() ? Json() : Json(r.epoch_by)},
          {"config", config}};
}

std::string precision_name(const FineTuneRequest& request) {
  return request.f64 ? "f64" : precision_name(request.config);
}

std::string run_name(double lr, int64_t seed) {
  char name[64];
  std::snprintf(name, sizeof name, "lr-%.6g-seed-%lld", lr, (long long)seed);
  return name;
}

int64_t updates_per_epoch(const FineTuneRequest& request, int64_t rows) {
  return (rows + request.config.data.batch - 1) / request.config.data.batch;
}

int64_t total_updates(const FineTuneRequest& request, int64_t rows) {
  const BudgetConfig& b = request.config.budget;
  if (b.epochs == 0) return b.steps;
  const int64_t of_epochs = int64_t(std::ceil(b.epochs * double(updates_per_epoch(request, rows))));
  return b.steps > 0 ? std::min(b.steps, of_epochs) : std::max<int64_t>(1, of_epochs);
}

int64_t warmup_updates(const FineTuneRequest& request, int64_t updates) {
  if (!request.warmup_share) return request.config.schedule.warmup;
  const double share = *request.warmup_share * double(updates);
  return int64_t(request.recipe == Recipe::hf ? std::ceil(share) : std::floor(share));
}

TrainConfig run_config(const FineTuneRequest& request, int64_t rows, double lr, int64_t seed) {
  TrainConfig config = request.config;
  const int64_t updates = total_updates(request, rows);
  config.optim.lr = lr;
  config.seed = seed;
  config.budget.steps = updates;
  config.budget.epochs = 0;
  config.schedule.warmup = warmup_updates(request, updates);
  // There is one after each validation.
  if (config.checkpoint.every == 0) config.checkpoint.every = updates_per_epoch(request, rows);
  const bool counted = config.budget.tokens == 0 && config.budget.seconds == 0;
  if (counted && config.schedule.steps == 0) config.schedule.steps = updates;
  return config;
}

}  // namespace train
