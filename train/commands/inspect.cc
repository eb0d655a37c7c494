// normlab inspect: a model's parameters, memory, FLOPs and placement, from its config alone. Nothing is
// allocated. Read first: models/parameter_list.h, models/flops.h, models/diagram/diagram.h.
#include <cstdio>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"
#include "models/diagram/diagram.h"
#include "models/diagram/diagram_book.h"
#include "models/flops.h"
#include "models/hf/import.h"
#include "models/parameter_list.h"
#include "models/size_presets.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/expectation.h"
#include "train/rank_plan.h"
#include "train/run_data.h"

namespace train {
namespace {

using engine::Json;
using models::ModelConfig;

const Usage usage = {
    "normlab inspect",
    "parameters, exact counts, memory plan, FLOPs per token and norm placement of a model",
    {{"MODEL", "a model, run or Hugging Face folder, a config file, or a size preset such as gpt-125m",
      Count::optional}},
    {{"norms", "SPEC", "another placement: a preset's name or NormSpec text"},
     {"diagram", "text|svg", "draw the placement instead"},
     {"json", "", "one JSON object on stdout"},
     {"context", "T", "tokens in a row", "the model's context"},
     {"batch", "B", "rows in a micro-batch", "1"},
     {"ranks", "N", "also the memory of one of so many ranks, in 16-bit precision, and the predicted efficiency"},
     {"zero", "0|1", "with --ranks: as parallel.zero", "0"},
     {"diagram-book", "PAGE", "rewrite the generated part of a page such as docs/norm-book.md"}},
    "Memory is that of training with AdamW: float32 parameters, gradients and two moments, and what one\n"
    "micro-batch keeps for its backward pass in float32. With --ranks: 16-bit copies, float32 gradients, masters\n"
    "and moments; the efficiency is that of H100 nodes by published figures, when each rank has B x T tokens of an\n"
    "update.\n",
};

/// A folder's config.json, a file, or a preset. A training config or run folder has its model under "model".
ModelConfig load_config(const std::string& where) {
  std::string path = where;
  if (engine::is_directory(path)) path += "/config.json";
  if (!engine::file_exists(path)) {
    const bool is_path = path.find('/') != std::string::npos || path.ends_with(".json");
    engine::check(!is_path, path, ": no such file");
    return models::model_preset(where);
  }
  const Json json = engine::read_json(path, size_t(1) << 24);
  if (json.is_object() && json.contains("model")) return resolve_model_config(parse_config(json, path));
  return models::config_of_any(json, path);
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

/// Of one rank among several.
struct Ranks {
  int64_t number = 0;  // 0: not asked for
  int zero = 0;
};

Json to_json(const ModelConfig& config, const Ranks& ranks, int64_t batch, int64_t context) {
  const RankMemory m = rank_memory(config, ranks.number, ranks.zero);
  return {{"ranks", ranks.number},
          {"zero", ranks.zero},
          {"copies", m.copies},
          {"gradients", m.gradients},
          {"masters", m.masters},
          {"moments", m.moments},
          {"total", m.total()},
          {"predicted_efficiency",
           predicted_efficiency(config, ranks.number, ranks.zero, double(batch * context), context)}};
}

void print_ranks(const ModelConfig& config, const Ranks& ranks, int64_t batch, int64_t context) {
  const RankMemory m = rank_memory(config, ranks.number, ranks.zero);
  const auto text = [](double bytes) { return engine::human_bytes(bytes); };
  std::printf("a rank       %s of state in 16-bit precision, one of %lld, zero %d: copies %s, gradients %s, masters %s, "
              "moments %s\n",
              text(m.total()).c_str(), (long long)ranks.number, ranks.zero, text(m.copies).c_str(),
              text(m.gradients).c_str(), text(m.masters).c_str(), text(m.moments).c_str());
  std::printf("efficiency   %.1f %% predicted for H100 nodes at %lld x %lld tokens a rank and update\n",
              100 * predicted_efficiency(config, ranks.number, ranks.zero, double(batch * context), context),
              (long long)batch, (long long)context);
}

Json to_json(const ModelConfig& config, int64_t batch, int64_t context) {
  Json tensors = Json::array(), groups = Json::object();
  for (const char* group : models::parameter_group_names) groups[group] = 0;
  for (const models::ParameterInfo& p : models::parameter_list(config)) {
    const char* group = models::parameter_group_names[size_t(p.group)];
    tensors.push_back({{"name", p.name}, {"shape", p.shape}, {"group", group}});
    groups[group] = groups[group].get<int64_t>() + p.count();
  }
  const models::MemoryPlan memory = models::memory_plan(config, batch, context, 4);
  const models::FlopsPerToken flops = models::flops_per_token(config, context);
  const Expectation speed = expected_speed(config, context, PrecisionKind::f32, 0, Peak::recent);
  return {{"config", models::to_json(config)},
          {"parameters", models::parameter_count(config)},
          {"parameters_by_group", groups},
          {"batch", batch},
          {"context", context},
          {"memory",
           {{"parameters", memory.parameters},
            {"gradients", memory.gradients},
            {"moments", memory.moments},
            {"activations", memory.activations},
            {"total", memory.total()}}},
          {"flops_per_token", flops.total()},
          {"flops_per_token_causal", flops.total_causal()},
          {"matrix_parameters", flops.matrix_parameters},
          {"peak_flops", speed.peak_flops},
          {"tokens_per_second", speed.tokens_per_second},
          {"tensors", tensors}};
}

void print_table(const ModelConfig& config, int64_t batch, int64_t context) {
  const auto parameters = models::parameter_list(config);
  int64_t by_group[models::parameter_group_names.size()] = {};
  size_t width = 0;
  for (const models::ParameterInfo& p : parameters) width = std::max(width, p.name.size());
  for (const models::ParameterInfo& p : parameters) {
    std::printf("%-*s  %-22s %14lld  %s\n", int(width), p.name.c_str(), shape_text(p.shape).c_str(),
                (long long)p.count(), models::parameter_group_names[size_t(p.group)]);
    by_group[size_t(p.group)] += p.count();
  }
  std::printf("\nnorms        %s\n", print(config.norms).c_str());
  const int64_t total = models::parameter_count(config);
  std::printf("parameters   %lld (%s)\n", (long long)total, engine::human_count(double(total)).c_str());
  for (size_t g = 0; g < models::parameter_group_names.size(); ++g)
    if (by_group[g] > 0)
      std::printf("  %-10s %lld\n", models::parameter_group_names[g], (long long)by_group[g]);
  const Expectation speed = expected_speed(config, context, PrecisionKind::f32, 0, Peak::recent);
  std::printf("%s; 1M tokens in %s\n", expectation_text(speed).c_str(),
              engine::human_seconds(1e6 / speed.tokens_per_second).c_str());
  const models::MemoryPlan memory = models::memory_plan(config, batch, context, 4);
  std::printf(
      "memory       %s to train %lld x %lld tokens in float32: parameters %s, gradients %s, moments %s, "
      "activations %s\n",
      engine::human_bytes(memory.total()).c_str(), (long long)batch, (long long)context,
      engine::human_bytes(memory.parameters).c_str(), engine::human_bytes(memory.gradients).c_str(),
      engine::human_bytes(memory.moments).c_str(), engine::human_bytes(memory.activations).c_str());
  const models::FlopsPerToken flops = models::flops_per_token(config, context);
  std::printf(
      "FLOPs/token  %s to train at context %lld: 6 x %lld matrix parameters + 12 x layers x heads x head_dim "
      "x T; ",
      engine::human_count(flops.total()).c_str(), (long long)context, (long long)flops.matrix_parameters);
  std::printf("%s with the causal half\n", engine::human_count(flops.total_causal()).c_str());
}

}  // namespace

int cmd_inspect(int argc, char** argv) {
  const Arguments args(usage, argc, argv);
  if (args.given("diagram-book")) {
    const std::string page = args.text("diagram-book");
    engine::write_file(page, models::with_diagram_book(engine::read_file(page, size_t(1) << 24)));
    return 0;
  }
  engine::check(!args.positionals().empty(), "name a model folder, a config file or a size preset");
  ModelConfig config = load_config(args.positional(0));
  if (args.given("norms")) {
    models::set_norms(config, args.text("norms"));
    config = models::checked(config);
  }
  if (args.given("diagram")) {
    engine::check(!args.on("json"), "--json lists numbers, --diagram draws; give one of the two");
    const models::Picture picture = models::make_picture(config);
    const std::string title = args.given("norms") ? args.text("norms") : args.positional(0);
    const std::string drawing =
        args.text("diagram") == "svg" ? models::diagram_svg(picture, title) : models::diagram_text(picture);
    std::fputs(drawing.c_str(), stdout);
    return 0;
  }
  const int64_t context =
      args.given("context") ? args.integer("context", 1, int64_t(1) << 26) : config.context;
  const int64_t batch = args.integer("batch", 1, int64_t(1) << 20);
  Ranks ranks;
  if (args.given("ranks")) ranks.number = args.integer("ranks", 1, 1 << 20);
  engine::check(!args.given("zero") || ranks.number > 0, "--zero says how --ranks share their state; give both");
  ranks.zero = int(args.integer("zero", 0, 1));
  if (args.on("json")) {
    Json json = to_json(config, batch, context);
    if (ranks.number > 0) json["rank"] = to_json(config, ranks, batch, context);
    std::printf("%s\n", engine::json_text(json, 1).c_str());
    return 0;
  }
  print_table(config, batch, context);
  if (ranks.number > 0) print_ranks(config, ranks, batch, context);
  return 0;
}

}  // namespace train
