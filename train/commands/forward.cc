// normlab forward: logits, loss and every gradient of a model on given tokens, as safetensors. The tool for
// checking a port against another implementation. Read first: models/forward.h.
#include "models/forward.h"

#include <cstdio>

#include "engine/base/json.h"
#include "models/hf/import.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/commands/compute_flags.h"
#include "train/commands/output_file.h"

namespace train {
namespace {

const Usage usage = {
    "normlab forward",
    "logits, loss and gradients of a model on given tokens",
    {},
    {{"model", "DIR", "a model directory, a run, or a Hugging Face directory", "", Arity::required},
     {"tokens", "FILE", "{\"input_ids\": [[...]], \"labels\": [[...]], \"attention_mask\": [[...]], ...}", "",
      Arity::required},
     {"out", "FILE", "the safetensors file to write", "", Arity::required},
     {"grads", "", "also write grad.NAME for every parameter"},
     precision_flag,
     device_flag,
     {"json", "", "one JSON object on standard output: the names of the tensors that were written"}},
    "Labels stand at the position that predicts them; -100 is not scored. Without labels a causal model is "
    "scored on the\n"
    "next token. Gradients are those of the mean loss over scored positions.\n"};

}  // namespace

int cmd_forward(int argc, char** argv) {
  const Arguments args(usage, argc, argv);
  const nn::Precision precision = precision_of(args);
  const std::string out = output_file(args, "out", {args.text("tokens")});
  const bool grads = args.on("grads");
  models::LoadedModel loaded = models::load_any(resolve_model(args.text("model")), precision,
                                                grads ? nn::Gradients::allocated : nn::Gradients::none);
  const std::string tokens = args.text("tokens");
  const models::TokenBatch batch =
      models::token_batch(engine::read_json(tokens), loaded.model->config(), tokens);
  models::ForwardResult result = models::run_forward(
      *loaded.model, batch, grads ? models::WithGradients::yes : models::WithGradients::no);
  loaded.rename_gradients(result.gradients);
  const engine::NamedTensors tensors = models::output_tensors(result, precision.compute);
  engine::write_safetensors(out, tensors);
  if (args.on("json")) {
    engine::Json names = engine::Json::array();
    for (const auto& [name, tensor] : tensors) names.push_back(name);
    const engine::Json json = {{"out", out}, {"tensors", names}};
    std::printf("%s\n", engine::json_text(json, 1).c_str());
  }
  return 0;
}

}  // namespace train
