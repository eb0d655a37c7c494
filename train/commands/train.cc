// normlab train: a run from a config, fresh or resumed. Read first: trainer.h, config.h.
#include <cstdio>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "models/init.h"
#include "models/parameter_list.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/memory_check.h"
#include "train/run_data.h"
#include "train/signals.h"
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

}  // namespace

int cmd_train(int argc, char** argv) {
  ignore_broken_pipes();
  const Arguments args(usage(), argc, argv);
  const std::string out = args.text("out");
  const bool resume = args.on("resume");
  std::string path = args.text("config");
  if (path.empty() && resume) path = out + "/config.json";
  TrainConfig config = load_config(path, args.values("set"));
  const models::ModelConfig model = resolve_model_config(config);
  // The run keeps everything that was resolved, so that --resume needs no other file.
  config.model = models::to_json(model);
  for (const char* key : {"format", "version"}) config.model.erase(key);
  if (config.data.context == 0) config.data.context = model.context;
  if (config.init.empty()) config.init = models::init_rule(model);
  if (config.init.empty()) config.init = models::default_init(model);
  const double available = engine::available_memory();
  if (args.on("dry-run")) {  // a plan may be for another machine: it is told that it does not fit here, not refused
    std::printf("%s\n", engine::json_text(config_json(config), 1).c_str());
    try {
      std::printf("%s\n", check_memory(config, model, config.data.context, available).c_str());
    } catch (const engine::Error& e) {
      std::printf("%s\n", e.what());
    }
    return 0;
  }
  const std::string memory = check_memory(config, model, config.data.context, available);
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
  engine::log_info(end == RunEnd::interrupted ? "stopped at step " : "finished at step ", c.step, " after ",
                   engine::human_seconds(c.seconds), " of training; the run is in ", out);
  return end == RunEnd::interrupted ? 130 : 0;
}

}  // namespace train
