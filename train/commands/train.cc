// normlab train: a run from a config, fresh or resumed. Read first: trainer.h, config.h.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>

#include "engine/base/file.h"
#include "engine/base/limits.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/comm/world.h"
#include "engine/cpu/parallel.h"
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
          "Under mpirun or srun (docs/10-many-processes.md) every rank trains on its share of the data. Stop such a run\n"
          "with kill -USR1 PID of mpirun.\n\n" +
              config_help()};
}

/// Error: the first key in which a rank's config is not rank 0's, with both values.
void check_same_config(engine::Communicator& ranks, const engine::Json& config) {
  const engine::Json first = engine::parse_json(ranks.from_root(engine::json_text(config)), "rank 0's config");
  const engine::Json theirs = first.flatten(), ours = config.flatten();
  std::string differing;
  for (const auto& [key, value] : theirs.items()) {
    const engine::Json mine = ours.value(key, engine::Json());
    if (differing.empty() && mine != value)
      differing = engine::join_text("has another config than rank 0: ", key, " is ", engine::json_text(mine), ", not ",
                                    engine::json_text(value));
  }
  if (differing.empty() && first != config) differing = "has another config than rank 0";
  ranks.agree([&] { engine::check(differing.empty(), differing); });
}

/// How many threads a rank takes when nothing says: its own processors, or its share of those that all ranks
/// on the machine may use.
int share_of_processors(const engine::Place& place) {
  const int mine = engine::available_processors(), machine = int(std::thread::hardware_concurrency());
  return mine * place.local_size <= machine ? mine : mine / place.local_size;
}

/// The affinity that mpirun gives each rank by default is one core.
void warn_of_binding(const engine::Place& place) {
  const int mine = engine::available_processors(), machine = int(std::thread::hardware_concurrency());
  if (place.rank == 0 && place.size > 1 && mine * place.local_size < machine)
    engine::log_warning("each of the ", place.local_size, " ranks on this machine may use ", mine, " of its ",
                        machine, " processors: mpirun --bind-to none lets them have all");
}

}  // namespace

int cmd_train(int argc, char** argv) {
  ignore_broken_pipes();
  if (asks_for_help(argc, argv)) Arguments(usage(), argc, argv);
  engine::Communicator& ranks = engine::world();
  const bool leads = ranks.rank() == 0;
  std::optional<Arguments> args;
  std::string out, memory;
  bool resume = false;
  std::optional<TrainConfig> read;
  std::optional<models::ModelConfig> model;
  ranks.agree([&] {
    args.emplace(usage(), argc, argv);
    out = args->text("out");
    resume = args->on("resume");
  });
  // The run's own config is rank 0's to read: other machines need not see the folder.
  std::string own_config;
  ranks.agree([&] {
    if (leads && resume && args->text("config").empty())
      own_config = engine::read_file(out + "/config.json", size_t(1) << 24);
  });
  own_config = ranks.from_root(own_config);
  ranks.agree([&] {
    TrainConfig& config =
        own_config.empty()
            ? read.emplace(load_config(args->text("config"), args->values("set")))
            : read.emplace(overridden_config(engine::parse_json(own_config, out + "/config.json"),
                                             out + "/config.json", args->values("set")));
    model = resolve_model_config(config);
    // The run keeps everything that was resolved, so that --resume needs no other file.
    config.model = models::to_json(*model);
    for (const char* key : {"format", "version"}) config.model.erase(key);
    if (config.data.context == 0) config.data.context = model->context;
    if (config.init.empty()) config.init = models::init_rule(*model);
    if (config.init.empty()) config.init = models::default_init(*model);
    memory = check_memory(config, *model, config.data.context, engine::available_memory() / ranks.place().local_size,
                          ranks.size());
    const BudgetConfig& b = config.budget;
    engine::check(args->on("dry-run") || b.steps > 0 || b.tokens > 0 || b.epochs > 0 || b.seconds > 0,
                  "budget: set one of budget.steps, budget.tokens, budget.epochs, budget.seconds");
  });
  const TrainConfig& config = *read;
  check_same_config(ranks, config_json(config));
  if (args->on("dry-run")) {
    if (leads) std::printf("%s\n%s\n", engine::json_text(config_json(config), 1).c_str(), memory.c_str());
    return 0;
  }
  if (config.threads == 0 && ranks.place().local_size > 1 && !std::getenv("NORMLAB_THREADS"))
    engine::cpu::set_thread_count(std::max(1, share_of_processors(ranks.place())));
  warn_of_binding(ranks.place());

  std::optional<RunDir> run;
  ranks.agree([&] {
    if (leads) run.emplace(out, resume ? RunStart::resume : RunStart::fresh);
  });
  // Opens the data: what is wrong with it shows before anything is kept.
  Trainer trainer(config, *model, run ? &*run : nullptr, ranks);
  ranks.agree([&] {
    if (run) run->write_config(config_json(config));
  });
  if (leads) {
    engine::log_info(engine::human_count(double(models::parameter_count(*model))), " parameters, ",
                     nn::print(model->norms));
    engine::log_info(memory);
    if (ranks.size() > 1)
      engine::log_info(ranks.size(), " ranks; stop them with kill -USR1 ", getppid(), " (mpirun; Ctrl-C leaves no "
                       "time for a long checkpoint)");
  }
  const RunEnd end = trainer.run();
  const RunCounters& c = trainer.counters();
  if (leads)
    engine::log_info(end == RunEnd::interrupted ? "stopped at step " : "finished at step ", c.step, " after ",
                     engine::human_seconds(c.seconds), " of training; the run is in ", out);
  return end == RunEnd::interrupted ? 130 : 0;
}

}  // namespace train
