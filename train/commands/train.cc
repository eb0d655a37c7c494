// normlab train: a run from a config, from a text, or from another model's weights, fresh or resumed; on one
// process or on the ranks of a launcher. Read first: trainer.h, train_config.h, text/text_run.h.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <thread>

#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/limits.h"
#include "engine/base/log.h"
#include "engine/base/stop.h"
#include "engine/base/text.h"
#include "engine/comm/device_sharers.h"
#include "engine/comm/nccl.h"
#include "engine/comm/world.h"
#include "engine/core/memory.h"
#include "engine/core/side_queue.h"
#include "engine/cpu/parallel.h"
#include "models/init.h"
#include "models/parameter_list.h"
#include "train/checkpoint/resume.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/commands/train_config.h"
#include "train/evaluation/json_numbers.h"
#include "train/evaluation/perplexity_report.h"
#include "train/expectation.h"
#include "train/memory_check.h"
#include "train/run_data.h"
#include "train/signals.h"
#include "train/text/text_run.h"
#include "train/trainer.h"

namespace train {
namespace {

using engine::check;
using engine::Json;

Usage usage() {
  return {"normlab train",
          "pretrain a causal or masked language model",
          {},
          {{"config", "FILE", "a training config in JSON; keys that it leaves out have their defaults"},
           {"text", "PATH",
            "train on this text: files (also .jsonl .csv .html, .gz .zst .xz), a folder, a corpus by name, or -; "
            "tokenizer, split, sizes, rates and budget follow from it and the machine unless config or --set say "
            "them",
            "", Arity::repeated},
           {"field", "NAME", "with --text: key of the text in JSON objects, column of a CSV file", "text"},
           {"from", "MODEL", "start from the weights of a model, a run or a Hugging Face folder"},
           {"set", "a.b=c", "override one key of the config", "", Arity::repeated},
           {"out", "RUN", "the run directory", "run"},
           {"resume", "", "go on with the run in RUN from its newest intact checkpoint"},
           {"dry-run", "", "print the resolved config, time and memory, check everything, and stop"},
           {"json", "", "one JSON object at the end, on standard output"}},
          "Two commands from nothing to a model of one's own text:\n"
          "  make build\n"
          "  build/normlab train --text notes.txt --set budget.seconds=10m --out run\n\n"
              "Under mpirun or srun (docs/10-many-processes.md) every rank trains on its share of the data. Stop such a run\n"
              "with kill -USR1 PID of mpirun.\n\n" +
              config_help()};
}

/// How many threads a rank takes when nothing says: its own processors, or its share of those that all ranks
/// on the machine may use.
int share_of_processors(const engine::Place& place) {
  const int mine = engine::available_processors(), machine = int(std::thread::hardware_concurrency());
  return mine * place.local_size <= machine ? mine : mine / place.local_size;
}

/// The threads of a rank whose config says nothing, where ranks share a machine; 0: all.
int default_threads(const engine::Place& place) {
  return place.local_size > 1 && !std::getenv("NORMLAB_THREADS") ? std::max(1, share_of_processors(place))
                                                                 : 0;
}

/// The process of mpirun among those above this one; 0: none is.
int launcher() {
  int pid = ::getppid();
  for (int level = 0; level < 16 && pid > 1; ++level) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(in, line);  // "PID (NAME) STATE PARENT ..."
    const size_t open = line.find('('), close = line.rfind(')');
    if (open == line.npos || close == line.npos) return 0;
    const std::string name = line.substr(open + 1, close - open - 1);
    for (const char* known : {"mpirun", "mpiexec", "orterun", "prterun"})
      if (name == known) return pid;
    pid = std::atoi(line.c_str() + std::min(close + 4, line.size()));
  }
  return 0;
}

/// The affinity that mpirun gives each rank by default is one core.
void warn_of_binding(const engine::Place& place) {
  const int mine = engine::available_processors(), machine = int(std::thread::hardware_concurrency());
  if (place.rank == 0 && place.size > 1 && mine * place.local_size < machine)
    engine::log_warning("each of the ", place.local_size, " ranks on this machine may use ", mine, " of its ",
                        machine, " processors: mpirun --bind-to none lets them have all");
}

/// A config whose model, context and initialisation are said in full: --resume needs no other file.
struct ResolvedRun {
  TrainConfig config;
  models::ModelConfig model;
  std::string memory;  // the plan, as a line
};

/// Every check of a run that needs no data; its device is open. A dry run is told that it does not fit here,
/// not refused: a plan may be for another machine. `own`: the run's own config, which has its model in full:
/// the one that it began from need not be there any more.
ResolvedRun resolve(TrainConfig config, const engine::Place& place, bool dry, bool own) {
  ResolvedRun run{.config = std::move(config), .model = {}, .memory = {}};
  TrainConfig& c = run.config;
  TrainConfig source = c;
  if (own) source.from.clear();
  run.model = resolve_model_config(source);
  c.model = models::to_json(run.model);
  for (const char* key : {"format", "version"}) c.model.erase(key);
  if (c.data.context == 0) c.data.context = run.model.context;
  if (c.init.empty()) c.init = models::init_rule(run.model);
  if (c.init.empty()) c.init = models::default_init(run.model);
  models::check_init(run.model, c.init);
  const auto available = engine::memory_of(c.device).available;
  const double bytes = available ? double(available()) : engine::available_memory() / place.local_size;
  try {
    run.memory = check_memory(c, run.model, c.data.context, bytes, place.size);
  } catch (const engine::Error& e) {
    if (!dry) throw;
    run.memory = e.what();
  }
  const BudgetConfig& b = c.budget;
  check(b.steps > 0 || b.tokens > 0 || b.epochs > 0 || b.seconds > 0,
        "budget: set one of budget.steps, budget.tokens, budget.epochs, budget.seconds");
  return run;
}

/// A folder that goes away: where --dry-run makes what a run would keep.
struct PassingFolder {
  PassingFolder() : path(engine::temporaries_folder() + "/normlab-dry-XXXXXX") {
    check(::mkdtemp(path.data()) != nullptr, path, ": cannot create");
  }
  ~PassingFolder() { engine::remove_tree(path); }
  std::string path;
};

/// On every rank, of which rank 0 prints, and looks at the run in `folder` that would go on; empty: none.
void print_dry_run(const ResolvedRun& run, const engine::Place& place, const std::string& folder, bool json) {
  const RunData data = open_run_data(run.config, run.model, place.rank, place.size);
  const Schedule schedule(run.config.schedule, run.config.optim.lr, 0);
  if (place.rank > 0) return;
  if (engine::is_directory(folder)) check_checkpoint(folder, run.config, run.model, *data.training);
  const Expectation e = expected_run(run.config, run.model, data.context, data.training->rows_per_epoch(),
                                     Peak::recent, place.size);
  Json out = config_json(run.config);
  if (json) {
    out = {{"config", std::move(out)},
           {"tokens_per_second", e.tokens_per_second},
           {"seconds", e.seconds > 0 ? Json(e.seconds) : Json()},
           {"updates", e.updates > 0 ? Json(e.updates) : Json()},
           {"memory", planned_memory(run.config, run.model, data.context, place.size)}};
    std::printf("%s\n", engine::json_text(out, 1).c_str());
    return;
  }
  std::printf("%s\n%s\n%s\n", engine::json_text(out, 1).c_str(), expectation_text(e).c_str(),
              run.memory.c_str());
}

constexpr double kNoLimit = 1e9;  // seconds

/// The config of a run on --text. Rank 0 makes tokenizer and token shards, which takes as long as it takes; the
/// others wait, and must see the folder afterwards.
Json text_config(const Arguments& args, engine::Communicator& ranks, const std::string& folder, Json given) {
  const bool leads = ranks.rank() == 0;
  const SignalGuard signals(leads);
  ranks.set_options({.timeout = kNoLimit});
  ranks.agree([&] {
    if (leads)
      given = make_text_run({.texts = args.values("text"),
                             .field = args.given("field") ? args.text("field") : "",
                             .folder = folder,
                             .given = std::move(given),
                             .ranks = ranks.size(),
                             .ranks_here = ranks.place().local_size,
                             .threads = default_threads(ranks.place())});
  });
  ranks.agree([] { engine::check_stop(); });  // a signal that another rank saw
  ranks.set_options({});
  if (ranks.size() == 1) return given;
  return engine::parse_json(ranks.from_root(leads ? engine::json_text(given) : ""), "rank 0's config");
}

/// The keys that differ from their defaults: what a person would write.
Json short_config(const TrainConfig& config) {
  const Json all = config_json(config), defaults = config_json(TrainConfig());
  Json out = Json::object();
  for (const auto& [key, value] : all.items()) {
    if (key == "model" || !value.is_object()) {
      if (value != defaults[key]) out[key] = value;
      continue;
    }
    for (const auto& [inner, inner_value] : value.items())
      if (inner_value != defaults[key][inner]) out[key][inner] = inner_value;
  }
  return out;
}

Json summary_of(const std::string& out, RunEnd end, const RunCounters& c) {
  Json json = result_of("train");
  json.update({{"run", out},
               {"end", end == RunEnd::interrupted ? "interrupted"
                       : end == RunEnd::finished  ? "finished"
                                                  : "stopped early"},
               {"steps", c.step},
               {"tokens", c.tokens},
               {"seconds", c.seconds},
               {"best_valid_loss", number_or_null(c.best_loss)},
               {"valid_loss", number_or_null(c.last_loss)}});
  return json;
}

/// Loss on text that was held out, and a sample.
void show_text(const std::string& out, bool json, Json& summary) {
  Json shown;
  try {
    const SignalGuard signals;
    shown = show_text_run(out);
  } catch (const engine::Stopped&) {
    return;
  }
  summary.update(shown);
  if (json) return;
  std::fputs((perplexity_table(shown["test"]) + "\n").c_str(), stdout);
  print_text(shown["sample"].get<std::string>() + "\n");
  engine::log_info("kept: ", out, "/test.json, ", out, "/sample.txt. Next: normlab generate --model ", out,
                   " --prompt \"...\"; normlab report ", out);
}

int train_run(const Arguments& args, engine::Communicator& ranks) {
  const std::string out = args.text("out");
  const bool resume = args.on("resume"), dry = args.on("dry-run"), json = args.on("json");
  const bool leads = ranks.rank() == 0;
  // These decide what the ranks do together; the rest of the config is compared when it is known.
  ranks.check_same("command line", engine::join_text("resume ", resume, ", dry run ", dry, ", text ",
                                                     args.given("text"), ", config ", args.given("config")));
  ranks.agree([&] {
    check(!args.given("text") || !args.given("config") || !resume, "--resume needs neither --text nor --config");
    check(resume || args.given("text") || args.given("config") || args.given("from") || args.given("set"),
          "nothing to train: --text PATH (a text of your own) or --config FILE says what; see normlab train "
          "--help");
  });
  // The folder is rank 0's alone.
  const bool goes_on = ranks.from_root(int64_t(resume && engine::file_exists(out + "/config.json"))) != 0;
  const bool from_text = args.given("text") && !goes_on, own = goes_on && !args.given("config");
  Json given = config_file(args, ranks, from_text);
  std::optional<PassingFolder> passing;
  std::optional<RunDir> run;
  std::optional<ResolvedRun> kept;
  ranks.agree([&] {
    given = given_json(args, std::move(given), from_text);
    if (from_text)  // what is wrong shows before a text is read
      parse_config(given, args.given("config") ? args.text("config") : "--text", args.values("set"),
                   Rules::single_keys);
    if (goes_on && leads) check_goes_on(given, out, own);
    if (dry) {
      if (leads) RunDir::check_free(out, resume ? RunStart::resume : RunStart::fresh);
      if (from_text) passing.emplace();
    } else if (from_text && leads) {
      run.emplace(out, resume ? RunStart::resume : RunStart::fresh);
    }
    if (given.contains("from") && !own) complete_from(given);
  });
  if (from_text) given = text_config(args, ranks, dry ? passing->path : out, std::move(given));
  TrainConfig config;
  ranks.agree([&] {
    const std::string what = args.given("config") ? args.text("config") : from_text ? "--text" : "config";
    config = parse_config(given, what, args.values("set"));
    engine::require_device(config.device);
  });
  engine::set_device_sharers(engine::count_device_sharers(ranks, config.device));
  ranks.agree([&] { kept = resolve(config, ranks.place(), dry, own); });
  const ResolvedRun& resolved = *kept;
  check_same_config(ranks, config_json(resolved.config));
  if (const int threads = default_threads(ranks.place()); threads > 0 && resolved.config.threads == 0)
    engine::cpu::set_thread_count(threads);
  if (dry) {
    ranks.agree([&] { print_dry_run(resolved, ranks.place(), resume ? out : "", json); });
    return 0;
  }
  warn_of_binding(ranks.place());
  ranks.agree([&] {
    if (!run && leads) run.emplace(out, resume ? RunStart::resume : RunStart::fresh);
  });
  engine::carry_by_nccl(ranks, resolved.config.device);
  ranks.agree([] { engine::check_stop(); });
  // Opens the data: what is wrong with it shows before anything is kept.
  Trainer trainer(resolved.config, resolved.model, run ? &*run : nullptr, ranks);
  ranks.agree([&] {
    engine::check_stop();
    if (leads) run->write_config(config_json(resolved.config));
  });
  if (leads) {
    if (from_text && !json)
      engine::log_info("config (", out, "/config.json has it in full): ",
                       engine::json_text(short_config(resolved.config)));
    engine::log_info(engine::human_count(double(models::parameter_count(resolved.model))), " parameters, ",
                     nn::print(resolved.model.norms));
    engine::log_info(resolved.memory);
    if (ranks.size() > 1) {
      const int pid = launcher();
      engine::log_info(ranks.size(), " ranks; stop them with ",
                       pid > 0 ? engine::join_text("kill -USR1 ", pid,
                                                   " (mpirun; Ctrl-C leaves no time for a long checkpoint)")
                               : "kill -USR1 of mpirun, or scancel --signal=USR1 of the job");
    }
  }
  const RunEnd end = trainer.run();
  const RunCounters& c = trainer.counters();
  ranks.set_options({.timeout = kNoLimit});  // rank 0 alone has more to do; the others wait, deaf to signals
  ranks.agree([&] {
    if (!leads) return;
    engine::log_info(end == RunEnd::interrupted ? "stopped at step " : "finished at step ", c.step, " after ",
                     engine::human_seconds(c.seconds), " of training; the run is in ", out);
    Json summary = summary_of(out, end, c);
    if (end != RunEnd::interrupted && is_text_run(out)) show_text(out, json, summary);
    if (json) std::printf("%s\n", engine::json_text(summary, 1).c_str());
  });
  return end == RunEnd::interrupted ? 130 : 0;
}

}  // namespace

int cmd_train(int argc, char** argv) {
  if (asks_for_help(argc, argv)) Arguments(usage(), argc, argv);
  engine::Communicator& ranks = engine::world();
  const SignalGuard signals(ranks.rank() == 0);  // from here on, on every rank
  std::optional<Arguments> args;
  ranks.agree([&] { args.emplace(usage(), argc, argv); });
  ignore_broken_pipes();
  try {
    return train_run(*args, ranks);
  } catch (const engine::Stopped&) {  // before the first update
  } catch (const engine::RankError& e) {
    if (e.code != engine::Communicator::kStopped) throw;
  }
  if (ranks.rank() == 0) engine::log_info("stopped; nothing was trained yet");
  return engine::Communicator::kStopped;
}

}  // namespace train
