// normlab compare: placements side by side, with error bars. Read first: comparison/comparison.h,
// comparison/analysis.h.
#include <cstdio>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/limits.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/bench/gemm_bench.h"
#include "engine/core/memory.h"
#include "engine/cpu/parallel.h"
#include "models/flops.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/commands/value_list.h"
#include "train/comparison/analysis.h"
#include "train/comparison/comparison.h"
#include "train/evaluation/json_numbers.h"
#include "train/memory_check.h"
#include "train/report/report.h"
#include "train/run_data.h"

namespace train {
namespace {

using engine::check;
using engine::Json;

constexpr double kShare = 0.3;  // of the multiply-adds that this machine can do now, for a plan's time

const Usage usage = {
    "normlab compare",
    "placements side by side: the same data and initial values seed by seed, paired statistics",
    {{"SPEC", "placements: presets or NormSpec texts; the first is the baseline", Count::many}},
    {{"config", "FILE", "the training config that all share", "", Arity::required},
     {"out", "DIR", "where plan, runs, compare.json and report.html go", "", Arity::required},
     {"set", "KEY=VALUE", "overrides a key of the config", "", Arity::repeated},
     {"seeds", "N", "runs of each placement, with seeds 1 to N", "5"},
     {"baseline", "SPEC", "the placement that the others are compared with", "the first"},
     {"match", "steps|time",
      "equal updates, or as many as fit the baseline's training time (budget.seconds: that time)", "steps"},
     {"same-init", "RULE", "one rule of initial values for all; else each placement's own"},
     {"lr", "L,L,...", "learning rates to choose from, for each placement by itself"},
     {"lr-seeds", "S,S,...", "seeds of that sweep, which the claim leaves out", "seeds + 1"},
     {"extend", "",
      "beyond the rates given, by factors of 2, while the best is at an edge (8 times at most)"},
     {"no-stop", "", "let hopeless runs of the sweep go on"},
     {"stop-margin", "X", "nats above the best at 25, 50 and 75 % that make a run hopeless", "0.1"},
     {"jobs", "J", "runs at a time; the threads are shared among them", "1"},
     {"devices", "0,1,...", "GPUs: a run at a time on each"},
     {"threads", "N", "0: all processors; results do not depend on it", "0"},
     {"resume", "", "go on with the comparison in DIR"},
     {"dry-run", "", "print the plan, with an estimate of time and memory"},
     {"json", "", "print compare.json in place of the table"}},
    "Losses are those of the last validation, never the best. \"better\" and \"worse\" need a Holm-corrected "
    "p below\n"
    "0.05 of at least three seeds (docs/11-measuring-models.md). Ctrl-C leaves checkpoints; --resume goes "
    "on.\n"};

CompareRequest request_of(const Arguments& args) {
  CompareRequest r;
  r.placements = args.positionals();
  r.baseline = args.given("baseline") ? args.text("baseline") : r.placements[0];
  r.config = load_config(args.text("config"), args.values("set"));
  r.seeds = args.integer("seeds", 1, 1000);
  r.match = args.text("match") == "time" ? Match::time : Match::steps;
  r.same_init = args.text("same-init");
  r.rates =
      value_list(args.text("lr"), "--lr", [](const std::string& s) { return parse_number(s, "--lr", 1e-12, 1e6); });
  if (!r.rates.empty())
    r.rate_seeds =
        args.given("lr-seeds")
            ? value_list(args.text("lr-seeds"), "--lr-seeds",
                         [](const std::string& s) { return parse_integer(s, "--lr-seeds", 0, 1LL << 53); })
            : std::vector<int64_t>{r.seeds + 1};
  for (const char* flag : {"lr-seeds", "extend", "no-stop", "stop-margin"})
    check(!args.given(flag) || !r.rates.empty(), "--", flag, " goes with --lr");
  for (const int64_t seed : r.rate_seeds)
    check(seed < 1 || seed > r.seeds, "--lr-seeds: ", seed, " is a seed of the claim (1 to ", r.seeds, ")");
  r.extend = args.on("extend");
  r.stop = !args.on("no-stop");
  r.stop_margin = args.number("stop-margin", 0, 1e6);
  // Part of what is compared: GPUs may change when it goes on, but not from or to the processor.
  if (args.given("devices")) r.config.device = engine::Device::cuda;
  check_request(r);
  return r;
}

// What the work will cost: of a run of each placement, and of all.
struct PlacementCost {
  std::string placement, memory_text;
  int64_t runs = 0;
  double seconds = 0, memory = 0;  // seconds: 0 where a device's speed is not known
};

// Error: the runs that go on at a time do not fit into memory.
std::vector<PlacementCost> costs_of(const CompareRequest& r, const CompareWork& work) {
  const engine::Device device = r.config.device;
  const double available = available_memory_of(device);
  const double peak = device == engine::Device::cpu ? 1e9 * engine::multiply_add_peak(engine::DType::f32) : 0;
  const int64_t runs = r.seeds + int64_t(r.rates.size() * r.rate_seeds.size());
  std::vector<PlacementCost> out;
  for (const std::string& placement : r.placements) {
    const TrainConfig config = config_of(r, {placement, r.config.optim.lr, 1, r.steps, false});
    const models::ModelConfig model = resolve_model_config(config);
    const int64_t context = config.data.context > 0 ? config.data.context : model.context;
    PlacementCost cost{.placement = placement,
                       .memory_text = check_memory(config, model, context, available)};
    cost.runs = runs, cost.memory = planned_memory(config, model, context);
    const double tokens = double(r.steps * config.data.batch * config.data.accumulate * context);
    if (peak > 0) cost.seconds = tokens * models::flops_per_token(model, context).total() / (peak * kShare);
    if (r.config.budget.seconds > 0 && (r.steps == 0 || cost.seconds > r.config.budget.seconds))
      cost.seconds = r.config.budget.seconds;
    const int64_t together =
        work.devices.empty() ? std::min(work.jobs, runs * int64_t(r.placements.size())) : 1;
    check(available <= 0 || cost.memory * double(together) <= available, "--jobs ", work.jobs, ": ", together,
          " runs of ", placement, " at a time need ", engine::human_bytes(cost.memory * double(together)),
          " of memory; ", engine::human_bytes(available), " are available");
    out.push_back(cost);
  }
  return out;
}

void print_plan(const CompareRequest& r, const CompareWork& work, bool json) {
  const std::vector<PlacementCost> costs = costs_of(r, work);
  double seconds = 0;
  int64_t runs = 0;
  Json rows = Json::array();
  for (const PlacementCost& c : costs) {
    seconds += c.seconds * double(c.runs), runs += c.runs;
    rows.push_back({{"placement", c.placement},
                    {"runs", c.runs},
                    {"updates", r.steps > 0 ? Json(r.steps) : Json()},
                    {"seconds", c.seconds > 0 ? Json(c.seconds) : Json()},
                    {"memory", c.memory}});
    if (json) continue;
    const std::string updates = r.steps > 0 ? " of " + std::to_string(r.steps) + " updates" : "";
    std::printf("%s: %lld runs%s%s\n  %s\n", c.placement.c_str(), (long long)c.runs, updates.c_str(),
                c.seconds > 0 ? (", about " + engine::human_seconds(c.seconds) + " each").c_str() : "",
                c.memory_text.c_str());
  }
  if (json) {
    Json out = result_of("compare");
    out.update({{"model", r.config.from.empty() ? Json() : Json(r.config.from)},
                {"data", r.config.data.train},
                {"precision", precision_name(r.config)},
                {"results", Json::array()},  // nothing was trained
                {"plan", rows},
                {"runs", runs},
                {"seconds", seconds > 0 ? Json(seconds) : Json()}});
    std::printf("%s\n", engine::json_text(out, 1).c_str());
  } else if (seconds > 0) {
    std::printf("%lld runs, about %s at %.0f %% of this machine's multiply-adds\n", (long long)runs,
                engine::human_seconds(seconds).c_str(), 100 * kShare);
  } else {
    std::printf("%lld runs; how fast the device is shows when it runs\n", (long long)runs);
  }
}

// As many seeds of each placement as a page has room for; whole, the statistics are of all.
void write_page(const Comparison& comparison, const Json& result, const std::string& path) {
  constexpr int64_t most_runs = 64;
  const int64_t seeds = std::max<int64_t>(1, most_runs / int64_t(comparison.request().placements.size()));
  if (seeds < comparison.request().seeds)
    engine::log_info(path, ": curves of seeds 1 to ", seeds, "; table and points are of all ",
                     comparison.request().seeds);
  std::vector<RunReport> runs;
  for (const FinishedRun& f : comparison.claim()) {
    const std::string folder = comparison.path(f.run);
    if (f.run.seed > seeds || int64_t(runs.size()) == most_runs ||
        !engine::file_exists(folder + "/metrics.jsonl"))
      continue;
    runs.push_back(read_run(folder));
    runs.back().name = f.run.placement + " " + std::to_string(f.run.seed);
    // What is compared is the last validation: beside the best ones of single runs it would be misread.
    std::erase_if(runs.back().numbers, [](const auto& number) {
      return number.first.starts_with("best valid") || number.first == "at update";
    });
  }
  engine::write_file(path, report_html(runs, comparison_html(comparison, result)));
}

}  // namespace

int cmd_compare(int argc, char** argv) {
  const double start = engine::now();
  const Arguments args(usage, argc, argv);
  const CompareRequest request = request_of(args);
  CompareWork work{
      .out = args.text("out"), .jobs = args.integer("jobs", 1, 1024), .resume = args.on("resume")};
  check(request.match == Match::steps || work.jobs == 1, "--match time measures times: it needs --jobs 1");
  if (args.given("devices")) {
    check(!args.given("jobs"), "--devices says how many runs there are at a time; leave --jobs out");
    for (const int64_t device : value_list(args.text("devices"), "--devices", [](const std::string& s) {
           return parse_integer(s, "--devices", 0, 1023);
         }))
      work.devices.push_back(std::to_string(device));
    check(request.match == Match::steps || work.devices.size() == 1,
          "--match time measures times: it needs a single device");
    engine::memory_of(engine::Device::cuda);  // an error where this build lacks it
    work.jobs = int64_t(work.devices.size());
  }
  if (args.on("dry-run")) {
    print_plan(request, work, args.on("json"));
    return 0;
  }
  costs_of(request, work);  // or an error
  const int64_t threads = args.integer("threads", 0, 1024);
  work.threads = threads > 0                  ? threads
                 : request.config.threads > 0 ? request.config.threads
                                              : engine::cpu::thread_count();
  Comparison comparison(request, work);
  if (!comparison.run()) {
    engine::log_info("stopped; --resume goes on");
    return 130;
  }
  const Json result = comparison_json(comparison, work.threads, engine::now() - start);
  engine::write_file(work.out + "/compare.json", engine::json_text(result, 1) + "\n");
  write_page(comparison, result, work.out + "/report.html");
  if (args.on("json"))
    std::printf("%s\n", engine::json_text(result, 1).c_str());
  else
    print_comparison(result);
  return 0;
}

}  // namespace train
