// Read first: text_plan.h.
#include "train/text/text_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "models/flops.h"
#include "train/expectation.h"
#include "train/memory_check.h"

namespace train {
namespace {

using engine::Json;
using models::ModelConfig;
using models::Objective;

constexpr double kDefaultSeconds = 300, kTokensPerParameter = 8, kMostReadings = 30, kFewReadings = 4,
                 kMemoryShare = 0.7, kUpdates = 2000;

struct Rung {
  int64_t layers, width, heads, context;
};
constexpr Rung kLadder[] = {{2, 64, 2, 64},       {3, 96, 3, 128},     {4, 128, 4, 128},  {4, 192, 6, 128},
                            {6, 256, 8, 256},     {8, 384, 6, 256},    {10, 512, 8, 512}, {12, 768, 12, 1024},
                            {24, 1024, 16, 1024}, {24, 2048, 16, 2048}};

/// The largest power of two up to x.
int64_t power_of_two(double x) { return int64_t(1) << int64_t(std::floor(std::log2(std::max(1.0, x)))); }

int64_t round_to(double x, int64_t least, int64_t most) {
  return std::clamp(int64_t(std::llround(std::min(x, 1e15))), least, most);
}

bool has(const Json& json, const char* key) { return json.is_object() && json.contains(key); }
bool has_preset(const Json& model) { return has(model, "preset"); }

/// Those of the rung where they divide the width, else so many that each has at least 32 columns, an even
/// number.
int64_t heads_for(int64_t width, const Rung& rung) {
  if (width % (2 * rung.heads) == 0) return rung.heads;
  for (int64_t heads = std::max<int64_t>(1, width / 32); heads > 1; --heads)
    if (width % (2 * heads) == 0) return heads;
  return 1;
}

/// The rung, with what is given in its place.
Json model_json(const Rung& rung, const TextFacts& facts, int64_t context) {
  const Json& given = facts.model;
  Json json = {{"objective", models::objective_names[size_t(facts.objective)]}};
  if (!has_preset(given)) {
    const int64_t width = has(given, "width")
                              ? engine::json_int(given["width"], "model.width", 1, int64_t(1) << 20)
                              : rung.width;
    json.update({{"layers", rung.layers},
                 {"width", width},
                 {"heads", heads_for(width, rung)},
                 {"ffn_width", 4 * width},
                 {"context", context},
                 {"norms", "normformer"},
                 {"activation", "gelu"},
                 {"positions", "rope"},
                 {"bias", false}});
  }
  if (given.is_object()) json.update(given);
  return json;
}

ModelConfig with_vocabulary(Json json, int64_t vocabulary) {
  if (!json.contains("vocab_size")) json["vocab_size"] = vocabulary;
  return models::model_config_from_section(json, "model");
}

/// A row, and one to validate on, must fit into the text.
int64_t fitting_context(int64_t context, const TextFacts& facts) {
  if (facts.most_context > 0) context = std::min(context, facts.most_context);
  while (context > 16 && (context * 8 > facts.tokens || context > facts.valid_tokens)) context /= 2;
  return context;
}

/// What a model of this size reads.
struct Reading {
  double seconds, speed, tokens;
};
Reading reading_of(const TextFacts& facts, const ModelConfig& model, int64_t context) {
  Reading r;
  r.seconds = facts.seconds > 0 ? facts.seconds : kDefaultSeconds;
  r.speed = facts.peak_flops * expected_share(model.width) / models::flops_per_token(model, context).total();
  r.tokens = std::min(r.seconds * r.speed, kMostReadings * double(facts.tokens));
  if (facts.most_tokens > 0) r.tokens = std::min(r.tokens, facts.most_tokens);
  if (facts.epochs > 0) r.tokens = std::min(r.tokens, facts.epochs * double(facts.tokens));
  return r;
}

/// Of the whole run: what the budget says, where it says how much work, else what can be read.
double planned_tokens(const TextFacts& facts, const Reading& reading, double per_update) {
  double work = std::numeric_limits<double>::infinity();
  if (facts.updates > 0) work = std::min(work, facts.updates * per_update);
  if (facts.most_tokens > 0) work = std::min(work, facts.most_tokens);
  if (facts.epochs > 0) work = std::min(work, facts.epochs * double(facts.tokens));
  if (!std::isfinite(work)) return reading.tokens;
  return facts.seconds > 0 ? std::min(work, reading.seconds * reading.speed) : work;
}

struct Batch {
  int64_t rows, accumulate;
};
Batch batch_for(double tokens, int64_t context, const TextFacts& facts) {
  const double wanted = std::clamp(double(power_of_two(tokens / kUpdates)), 512.0, 32768.0);
  constexpr int64_t most_rows = 16, most_tokens = 4096;
  const int64_t rows = std::max<int64_t>(1, int64_t(wanted) / context / facts.ranks);  // of one rank
  const int64_t most = facts.accumulate > 0 ? std::max<int64_t>(1, rows / facts.accumulate) : rows;
  const int64_t micro =
      facts.rows > 0 ? facts.rows : std::clamp<int64_t>(std::min(most_rows, most_tokens / context), 1, most);
  const int64_t accumulate = facts.accumulate > 0 ? facts.accumulate : std::max<int64_t>(1, rows / micro);
  return {micro, accumulate};
}

}  // namespace

int64_t vocabulary_for(int64_t bytes, Objective objective) {
  if (objective == Objective::mlm) return 288;
  return std::clamp<int64_t>(power_of_two(double(bytes) / 768), 512, 16384);
}

TextPlan plan_text(const TextFacts& facts, const ModelConfig* fixed) {
  engine::check(facts.tokens >= kLeastTokens, "--text: ", facts.tokens, " tokens to train on are too few (",
                kLeastTokens, " at least)");
  TextPlan plan;
  ModelConfig model;
  int64_t context = 0;
  if (fixed != nullptr) {
    model = *fixed;
    context = fitting_context(std::min<int64_t>(model.context, 1024), facts);
  }
  const bool sized = has_preset(facts.model) || (has(facts.model, "layers") && has(facts.model, "width"));
  for (const Rung& rung : kLadder) {
    if (fixed != nullptr) break;
    int64_t rows = fitting_context(rung.context, facts);
    const Json json = model_json(rung, facts, rows);
    const ModelConfig larger = with_vocabulary(json, facts.vocabulary);
    rows = std::min(fitting_context(std::min<int64_t>(larger.context, 1024), facts), larger.context);
    const Reading reading = reading_of(facts, larger, rows);
    const double parameters = double(models::flops_per_token(larger, rows).matrix_parameters);
    TrainConfig config;
    config.data.batch = batch_for(reading.tokens, rows, facts).rows;
    const bool fits =
        facts.memory <= 0 || planned_memory(config, larger, rows) <= kMemoryShare * facts.memory;
    const bool first = plan.config.empty();
    if (!first && (reading.tokens < kTokensPerParameter * parameters || !fits)) break;
    plan.config["model"] = json, model = larger, context = rows;
    if (sized) break;
  }
  const Reading reading = reading_of(facts, model, context);
  const Batch batch = batch_for(reading.tokens, context, facts);
  const int64_t all_rows = batch.rows * batch.accumulate * facts.ranks;
  const double per_update = double(all_rows * context);
  const double tokens = planned_tokens(facts, reading, per_update);
  const double readings = tokens / double(facts.tokens);
  const int64_t updates = round_to(tokens / per_update, 1, int64_t(1) << 40);
  const bool masked = facts.objective == Objective::mlm;
  const double rate = facts.rate > 0
                          ? facts.rate
                          : (fixed != nullptr ? 3e-4 : 3e-3) * std::min(1.0, 192.0 / double(model.width));
  const int64_t every = std::max<int64_t>(1, updates / 20);
  plan.config["data"] = {{"sampler", masked ? "mlm" : "blocks"},
                         {"context", context},
                         {"batch", batch.rows},
                         {"accumulate", batch.accumulate}};
  if (masked && fixed == nullptr) plan.config["init"] = "megatron";
  plan.config["optim"] = {
      {"lr", rate}, {"betas", {0.9, masked ? 0.98 : 0.95}}, {"weight_decay", masked ? 0.01 : 0.1}};
  plan.config["schedule"] = {
      {"name", "cosine"}, {"warmup", std::clamp<int64_t>(updates / 50, 1, 1000)}, {"min_lr", rate / 30}};
  plan.config["dropout"] = {{"residual", readings > kFewReadings ? 0.1 : 0.0}};
  plan.config["budget"] = {{"seconds", reading.seconds}, {"epochs", kMostReadings}};
  plan.config["eval"] = {{"every", every}, {"batches", 20}};
  plan.config["checkpoint"] = {{"seconds", 60}};
  plan.config["log"] = {{"every", std::max<int64_t>(1, updates / 200)},
                        {"layers", every},
                        {"samples", masked ? 0 : std::max<int64_t>(1, updates / 5)}};

  const auto say = [&](const auto&... parts) { plan.reasons.push_back(engine::join_text(parts...)); };
  if (fixed == nullptr && sized)
    say("model: ", model.layers, " layers of width ", model.width, ", as set; rows of ", context, " tokens");
  else if (fixed == nullptr)
    say("model: ", model.layers, " layers of width ", model.width, ", context ", context,
        ": the largest that reads ", kTokensPerParameter, " tokens a matrix parameter in ",
        engine::human_seconds(reading.seconds), " and in ", kMostReadings, " readings of the text");
  say("batch: ", all_rows, " rows of ", context, ", about ", updates, " updates of ", all_rows * context,
      " tokens; rate ", engine::json_text(Json(rate)), " at its peak");
  say("budget: ", engine::human_seconds(tokens / reading.speed), " of training, about ",
      engine::human_count(tokens), " tokens at ", engine::human_count(reading.speed), " a second: the text ",
      std::round(10 * readings) / 10, " times", readings > kFewReadings ? ", hence dropout 0.1" : "",
      facts.updates > 0 || facts.most_tokens > 0 || facts.epochs > 0 ? ""
      : readings > 0.99 * kMostReadings                              ? " (budget.epochs=100 makes it longer)"
                                        : " (budget.seconds=1h makes it longer)");
  return plan;
}

}  // namespace train
