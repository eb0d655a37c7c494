// normlab train: a run from a config, fresh or resumed. Read first: trainer.h, config.h.
#include <cmath>
#include <cstdio>

#include "engine/base/log.h"
#include "engine/base/text.h"
#include "models/parameter_list.h"
#include "train/cli.h"
#include "train/commands.h"
#include "train/memory_check.h"
#include "train/trainer.h"

namespace train {
namespace {

Usage usage() {
  return {"normlab train",
          "pretrain a causal or masked language model",
          {},
          {{"config", "FILE", "a training config in JSON; keys that it leaves out have their defaults"},
           {"set", "a.b=c", "override one key of the config", "", Arity::repeated},
           {"out", "RUN", "the run directory", "run"},
           {"resume", "", "go on with the run in RUN from its newest intact checkpoint"},
           {"dry-run", "", "print the resolved config and the memory plan, and stop"}},
          config_help()};
}

// A model section without vocab_size takes the tokenizer's.
models::ModelConfig resolve_model_config(const TrainConfig& config) {
  engine::Json section = config.model;
  engine::check(section.is_object() && !section.empty(),
                "model: the config names no model (\"preset\" or sizes)");
  if (!section.contains("vocab_size") && !config.data.tokenizer.empty())
    section["vocab_size"] = data::load_tokenizer(config.data.tokenizer)->vocab_size();
  if (!section.contains("objective"))
    section["objective"] = config.data.sampler == Sampler::mlm ? "mlm" : "clm";
  if (!section.contains("context") && !section.contains("preset") && config.data.context > 0)
    section["context"] = config.data.context;
  return models::model_config_from_section(section, "model");
}

}  // namespace

int cmd_train(int argc, char** argv) {
  const Arguments args(usage(), argc, argv);
  const std::string out = args.text("out");
  const bool resume = args.on("resume");
  std::string path = args.text("config");
  if (path.empty() && resume) path = out + "/config.json";
  TrainConfig config = load_config(path, args.values("set"));
  const models::ModelConfig model = resolve_model_config(config);
  const int64_t context = config.data.context > 0 ? config.data.context : model.context;
  // The run keeps everything that was resolved, so that --resume needs no other file.
  config.model = models::to_json(model);
  for (const char* key : {"format", "version"}) config.model.erase(key);
  if (config.init.empty()) config.init = models::init_rule(model);
  const std::string memory = check_memory(config, model, context, available_memory());
  if (args.on("dry-run")) {
    std::printf("%s\n%s\n", config_json(config).dump(1).c_str(), memory.c_str());
    return 0;
  }
  const BudgetConfig& b = config.budget;
  engine::check(b.steps > 0 || b.tokens > 0 || b.epochs > 0 || b.seconds > 0,
                "budget: set one of budget.steps, budget.tokens, budget.epochs, budget.seconds");

  RunDir run(out, resume ? RunStart::resume : RunStart::fresh);
  Trainer trainer(config, model, run);  // opens the data: what is wrong with it shows before anything is kept
  run.write_config(config_json(config));
  engine::log_info(engine::human_count(double(models::parameter_count(model))), " parameters, ",
                   nn::print(model.norms));
  engine::log_info(memory);
  const RunEnd end = trainer.run();
  const RunCounters& c = trainer.counters();
  if (c.last_loss)
    engine::log_info("step ", c.step, ": valid loss ", *c.last_loss, ", perplexity ", std::exp(*c.last_loss),
                     ", ", engine::human_seconds(c.seconds), " of training; the run is in ", out);
  return end == RunEnd::interrupted ? 130 : 0;
}

}  // namespace train
