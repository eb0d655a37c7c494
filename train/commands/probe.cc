// normlab probe: what norms do to gradients, gains and attention, layer by layer. Read first:
// probes/saved_model.h, probes/probe_report.h. probe_training.cc has the forms that train.
#include <cstdio>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "nn/norm_spec.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/commands/compute_flags.h"
#include "train/commands/output_file.h"
#include "train/commands/probe.h"
#include "train/evaluation/json_numbers.h"
#include "train/probes/probe_page.h"
#include "train/probes/probe_report.h"
#include "train/probes/saved_model.h"

namespace train {

using engine::check;
using engine::Json;

std::vector<Flag> with_row_flags(std::vector<Flag> flags, Arity model) {
  const Flag rows[] = {{"model", "DIR", "a run, a model directory or a Hugging Face directory", "", model},
                       {"tokens", "FILE", "the rows to look at, as `normlab forward --tokens` takes them"},
                       {"data", "PATH", "or token shards, of which the first --rows rows are taken"},
                       {"rows", "N", "rows of --data, all of one update", "8"},
                       {"batch", "B", "rows of --data computed together", "8"},
                       {"tokenizer", "DIR", "a tokenizer in place of the model's own"},
                       page_flag};
  flags.insert(flags.begin(), std::begin(rows), std::end(rows));
  return with_compute_flags(flags);
}

void check_row_flags(const Arguments& args) {
  const bool tokens = !args.text("tokens").empty(), data = !args.text("data").empty();
  check(tokens != data, "give the rows with --tokens FILE or with --data SHARDS, one of the two");
  for (const char* flag : {"rows", "batch"})
    check(data || !args.given(flag), "--", flag, " goes with --data; of --tokens every row is taken");
}

ProbeRows rows_of(const Arguments& args, const OpenModel& open) {
  const std::string tokens = args.text("tokens");
  if (!tokens.empty()) return rows_of_file(open, tokens);
  return rows_of_shards(open, args.text("data"), args.integer("rows", 1, 1 << 30),
                        args.integer("batch", 1, 1 << 20));
}

void check_probe_page(const Arguments& args, const std::vector<std::string>& inputs) {
  std::vector<std::string> files;
  for (const std::string& flag : inputs)
    files.insert(files.end(), {args.text(flag), args.text(flag) + ".json"});
  output_file(args, "out", files);
}

void write_probe_page(const Arguments& args, const std::string& command, const Json& results) {
  if (args.given("out")) engine::write_file(args.text("out"), probe_page(command, results));
}

Json placement_json(const models::ModelConfig& config) {
  return {{"placement", nn::print(config.norms)}, {"layers", config.layers}};
}

void print_probe_json(const std::string& command, const std::string& model, const std::string& data,
                      const std::string& precision, double seconds, const Json& results,
                      const std::string& config) {
  Json out = result_of("probe " + command);
  out.update({{"model", model.empty() ? Json() : Json(model)},
              {"data", data.empty() ? Json() : Json(data)},
              {"precision", precision},
              {"seconds", seconds}});
  if (!config.empty()) out["config"] = config;
  // What one model's result says of its placement stands at the top too.
  if (results.size() == 1)
    for (const char* key : {"placement", "layers"}) out[key] = results[0][key];
  out["results"] = results;
  std::printf("%s\n", engine::json_text(out, 1).c_str());
}

namespace {

const Usage attention_usage = {"normlab probe attention",
                               "entropies, scores and the residual stream, layer by layer",
                               {},
                               with_row_flags({}, Arity::required),
                               "entropy is the mean over rows, heads and queries of -sum p ln p; relative is "
                               "that over ln n, of queries that\n"
                               "see n >= 2 keys; logit_max the largest |score| after scale and cap; rms the "
                               "stream's behind each sublayer.\n"};

const Usage gains_usage = {
    "normlab probe gains",
    "learned gains and scales, layer by layer",
    {},
    {{"model", "DIR", "a run, a model directory or a Hugging Face directory", "", Arity::required},
     {"all-checkpoints", "", "of every checkpoint of the run"},
     page_flag,
     device_flag,
     {"json", "", "one JSON object in place of a table"}},
    "Weights of norms, gains of heads, scales of residuals and branches. NormFormer's Figure 4 is the means "
    "of\n"
    "attn.out_norm.weight, attn.head_gain and ffn.mid_norm.weight, its Figure 6 that of ffn.res_scale.\n"};

int probe_attention(int argc, char** argv) {
  const Arguments args(attention_usage, argc, argv);
  check_row_flags(args);
  check_probe_page(args, {"tokens", "data"});
  const double start = engine::now();
  apply_threads(args);
  const OpenModel open = open_model(args.text("model"), precision_of(args), args.text("tokenizer"));
  const std::vector<LayerAttention> layers = attention_on(*open.model, rows_of(args, open));
  Json result = placement_json(open.model->config());
  result.update(attention_json(layers));
  write_probe_page(args, "attention", Json::array({result}));
  if (!args.on("json")) {
    std::printf("%s\n", nn::print(open.model->config().norms).c_str());
    print_attention(layers);
    return 0;
  }
  print_probe_json("attention", open.folder, args.text("tokens") + args.text("data"), args.text("precision"),
                   engine::now() - start, Json::array({result}));
  return 0;
}

// The run's checkpoints by step, or the one folder that --model means.
std::vector<std::string> folders_of(const Arguments& args) {
  if (!args.on("all-checkpoints")) return {args.text("model")};
  std::vector<std::string> out;
  for (const CheckpointInfo& info : list_checkpoints(args.text("model"))) out.push_back(info.folder);
  check(!out.empty(), args.text("model"), ": no checkpoints there; --all-checkpoints is for a run");
  return out;
}

int probe_gains(int argc, char** argv) {
  const Arguments args(gains_usage, argc, argv);
  check_probe_page(args, {});
  const double start = engine::now();
  nn::Precision as_stored = nn::Precision::of(engine::DType::f32);
  as_stored.device = device_of(args);
  Json results = Json::array();
  std::string model;
  for (const std::string& folder : folders_of(args)) {
    const OpenModel open = open_model(folder, as_stored);
    const std::vector<LayerGain> gains = layer_gains(*open.model);
    model = open.folder;
    if (!args.on("json")) {
      std::printf("%s\n%s\n", open.folder.c_str(), nn::print(open.model->config().norms).c_str());
      print_gains(gains);
    }
    Json result = placement_json(open.model->config());
    result["model"] = open.folder;
    result.update(gains_json(gains, open.model->config().layers));
    results.push_back(result);
  }
  write_probe_page(args, "gains", results);
  if (args.on("json")) print_probe_json("gains", model, "", "f32", engine::now() - start, results);
  return 0;
}

}  // namespace

int cmd_probe(int argc, char** argv) {
  return run_commands({"normlab probe",
                       "gradients, gains and attention by layer",
                       {{"attention", "entropies, scores and the residual stream", probe_attention},
                        {"gains", "learned gains and scales", probe_gains},
                        {"gradients", "gradients of a saved model, or of training", probe_gradients},
                        {"stability", "at which learning rate training breaks", probe_stability}},
                       ""},
                      argc, argv);
}

}  // namespace train
