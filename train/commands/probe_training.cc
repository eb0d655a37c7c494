// normlab probe gradients and stability: the forms that train. Read first: probe.cc,
// probes/gradient_run.h, probes/ramp_run.h.
#include <cstdio>
#include <exception>
#include <functional>

#include "data/tokenizer.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "nn/norm_presets.h"
#include "train/commands/compute_flags.h"
#include "train/commands/output_file.h"
#include "train/commands/probe.h"
#include "train/evaluation/json_numbers.h"
#include "train/failure.h"
#include "train/perplexity.h"
#include "train/probes/gradient_run.h"
#include "train/probes/probe_report.h"
#include "train/probes/ramp_run.h"
#include "train/signals.h"

namespace train {

using engine::check;
using engine::Json;

namespace {

std::vector<Flag> with_training_flags(std::vector<Flag> flags, Arity config) {
  const Flag shared[] = {{"config", "FILE", "the training config", "", config},
                         {"set", "KEY=VALUE", "overrides a key of the config", "", Arity::repeated}};
  flags.insert(flags.begin(), std::begin(shared), std::end(shared));
  return flags;
}

// What the runs share. --device and --threads override the keys of these names. Error: --set says another
// device.
WatchedConfig watched_config_of(const Arguments& args) {
  WatchedConfig base{args.text("config"), args.values("set")};
  if (args.given("threads"))
    base.overrides.push_back("threads=" + std::to_string(args.integer("threads", 0, 1024)));
  if (!args.given("device")) return base;
  const std::string device = args.text("device");
  for (const std::string& text : base.overrides) {
    if (!text.starts_with("device=")) continue;
    Json said = Json::object();
    apply_override(said, text);
    check(said["device"] == device, "--set ", text, ": --device ", device, " says another");
  }
  base.overrides.push_back("device=" + device);
  return base;
}

// Everything of a run that can be wrong before hours of others. Error: it is.
void check_run(const TrainConfig& config) {
  resolve_model_config(config);
  engine::require_device(config.device);
}

const Usage gradients_usage = {
    "normlab probe gradients",
    "gradients by layer, of a saved model or over the updates of training",
    {{"SPEC", "placements to train: presets or NormSpec texts (with --config)", Count::any}},
    with_row_flags(
        with_training_flags({{"steps", "N",
                              "updates to train, in place of the config's budget; 0: its budget.steps, "
                              "beside which it has no other",
                              "0"},
                             {"seeds", "N", "runs of each placement, with seeds 1 to N", "1"},
                             {"window", "A..B", "updates over which means are taken", "all updates"},
                             {"at", "U,U,...", "updates whose gradients are shown as they are"},
                             {"trace", "FILE", "every update as a line of JSON, as training goes on"},
                             {"relative-to", "SPEC", "divide each gradient by that of this placement"},
                             {"normalise", "none|loss",
                              "with --relative-to: divide gradients by the update's loss first", ""}},
                            Arity::optional),
        Arity::optional),
    "Of the mean loss over the scored positions of an update, before clipping, without loss scale and\n"
    "without routers' auxiliary losses. w2_grad is the mean |gradient| of the feed-forward's second\n"
    "matrix, grad_norm the norm of all gradients of a layer. JSON has every update of a run, of a long\n"
    "one each n-th (\"every\"); --trace has all. --relative-to is NormFormer's Figure 7: its window is\n"
    "950..1000 and --normalise is loss unless given. Training is on the config's device unless --device\n"
    "is given.\n"};

const Usage stability_usage = {
    "normlab probe stability",
    "at which learning rate training breaks, as the rate rises",
    {{"SPEC", "placements: presets or NormSpec texts", Count::many}},
    with_training_flags({{"steps", "N", "updates at most; 0: as many as lead to --max-lr", "0"},
                         {"seeds", "N", "runs of each placement, with seeds 1 to N", "3"},
                         {"ramp", "R", "what the rate grows by at each update, from 0", "5e-5"},
                         {"max-lr", "R", "the rate at which a run that has not broken ends", "0.5"},
                         page_flag,
                         threads_flag,
                         {"device", device_flag.value, device_flag.help, "the config's"},
                         {"json", "", "one JSON object in place of a table"}},
                        Arity::required),
    "A run breaks where loss or gradient are no numbers, the loss scaler gives up, or the median of ten "
    "losses\n"
    "shows that half of what context gave is lost (docs/11-measuring-models.md). That is a result, not an "
    "error.\n"};

// Runs one after the other. Whole ones are reported also when something ends the series early: a signal,
// which may come between two runs too, while data is opened and a model is built, or what a run died of.
class Series {
 public:
  /// One more run, unless the series has ended.
  void run(const std::string& placement, int64_t seed, const std::function<void()>& work) {
    if (ended()) return;
    try {
      if (signals_.raised()) throw Interrupted{};
      work();
    } catch (const Interrupted&) {
      interrupted_ = true;
    } catch (const Failure& e) {
      error_ =
          std::make_exception_ptr(Failure(engine::join_text(placement, ", seed ", seed, ": ", e.what())));
    } catch (...) {
      error_ = std::current_exception();
    }
  }
  /// Writes a file of results. That it cannot is told behind the report, which it must not cost.
  void write(const std::function<void()>& work) {
    try {
      work();
    } catch (const engine::Error&) {
      if (!error_) error_ = std::current_exception();
    }
  }
  bool ended() const { return interrupted_ || error_ != nullptr; }
  /// Behind the report: the exit code, or what a run died of.
  int end() const {
    if (error_) std::rethrow_exception(error_);
    return interrupted_ ? 130 : 0;
  }
  /// Whether an error is all that there is to tell.
  bool failed_at_once(const Json& results) const { return error_ != nullptr && results.empty(); }

 private:
  SignalGuard signals_;
  bool interrupted_ = false;
  std::exception_ptr error_;
};

// Updates "A..B".
UpdateWindow parse_window(const std::string& text) {
  const size_t dots = text.find("..");
  check(dots != std::string::npos, "--window: expected A..B, got \"", text, "\"");
  const auto number = [&](const std::string& part) {
    return parse_integer(part, "--window", 1, int64_t(1) << 40);
  };
  const UpdateWindow window{number(text.substr(0, dots)), number(text.substr(dots + 2))};
  check(window.first <= window.last, "--window: ", text, " ends before it begins");
  return window;
}

std::vector<int64_t> parse_updates(const std::string& text, int64_t steps) {
  std::vector<int64_t> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    out.push_back(parse_integer(text.substr(at, end - at), "--at", 1, steps));
    at = end + 1;
  }
  return out;
}

// ------------------------------------------------------------------------------------------ gradients

int saved_model_gradients(const Arguments& args) {
  const double start = engine::now();
  check(!args.text("model").empty(), "give a saved model (--model DIR) or a config to train (--config FILE)");
  check(args.positionals().empty(), "a saved model has its placement; SPEC goes with --config");
  for (const char* flag : {"set", "steps", "seeds", "window", "at", "trace", "relative-to", "normalise"})
    check(!args.given(flag), "--", flag, " goes with --config, not with a saved model");
  check_row_flags(args);
  apply_threads(args);
  const OpenModel open =
      open_model(args.text("model"), precision_of(args), args.text("tokenizer"), nn::Gradients::allocated);
  const GradientRecord record = gradients_on(*open.model, rows_of(args, open), open.vocabulary);
  Json result = placement_json(open.model->config());
  result.update({{"loss", number_or_null(record.loss)}, {"norm", number_or_null(record.norm)}});
  result.update(gradients_json(record.layers));
  result["ratio_first_last"] = number_or_null(ratio_first_last(record.layers));
  write_probe_page(args, "gradients", Json::array({result}));
  if (!args.on("json")) {
    std::printf("%s\nloss %.4f nats, norm of all gradients %.5g\n",
                nn::print(open.model->config().norms).c_str(), record.loss, record.norm);
    print_gradients(record.layers);
    return 0;
  }
  print_probe_json("gradients", open.folder, args.text("tokens") + args.text("data"), args.text("precision"),
                   engine::now() - start, Json::array({result}));
  return 0;
}

// --window and --at name updates, so the run must have all of them.
void check_budget(const BudgetConfig& budget) {
  check(budget.steps > 0, "give the number of updates with --steps or budget.steps");
  for (const auto& [key, value] :
       {std::pair{"tokens", double(budget.tokens)}, {"epochs", budget.epochs}, {"seconds", budget.seconds}})
    check(value == 0, "budget.", key, " may end training before update ", budget.steps,
          " (budget.steps): take it out, or give --steps, which takes the budget's place");
}

int training_gradients(const Arguments& args) {
  const double start = engine::now();
  for (const char* flag : {"model", "tokens", "data", "rows", "batch", "tokenizer", "precision"})
    check(!args.given(flag), "--", flag, " goes with a saved model, not with --config",
          flag == std::string("precision") ? " (--set precision=...)" : "");
  const std::string baseline = args.text("relative-to");
  std::vector<std::string> placements = args.positionals();
  check(!placements.empty(), "SPEC is missing: which placements to train");
  if (!baseline.empty() && std::find(placements.begin(), placements.end(), baseline) == placements.end())
    placements.insert(placements.begin(), baseline);

  const WatchedConfig base = watched_config_of(args);
  const int64_t steps = args.integer("steps", 0, int64_t(1) << 31), seeds = args.integer("seeds", 1, 1000);
  const auto config_of = [&](const std::string& placement, int64_t seed) {
    TrainConfig config = watched_config(base, placement, seed);
    if (steps > 0) config.budget = {.steps = steps};
    check_budget(config.budget);
    return config;
  };
  const int64_t updates = config_of(placements[0], 1).budget.steps;
  GradientQuestion question{.window = {1, updates}, .at = parse_updates(args.text("at"), updates)};
  if (!baseline.empty()) question = {.window = {950, 1000}, .at = question.at, .normalise = Normalise::loss};
  if (args.given("window")) question.window = parse_window(args.text("window"));
  check(!args.given("normalise") || !baseline.empty(), "--normalise goes with --relative-to");
  if (args.given("normalise"))
    question.normalise = args.text("normalise") == "loss" ? Normalise::loss : Normalise::none;
  check(question.window.last <= updates, "--window ends at update ", question.window.last, ", training at ",
        updates);
  for (const std::string& placement : placements) check_run(config_of(placement, 1));

  check(!args.given("trace") || args.text("trace") != args.text("out"), "--trace and --out name one file, ",
        args.text("out"));
  std::optional<engine::AtomicFile> trace;  // opened first: a path that cannot be written shows at once
  if (args.given("trace")) trace.emplace(output_file(args, "trace", {args.text("config"), args.text("out")}));

  Json results = Json::array();
  Series series;
  for (int64_t seed = 1; seed <= seeds && !series.ended(); ++seed) {
    std::vector<GradientRun> runs;
    for (const std::string& placement : placements)
      series.run(placement, seed, [&] {
        const auto keep = [&](const GradientRecord& record) {
          if (trace) trace->write(gradient_line(placement, seed, record));
        };
        runs.push_back(train_for_gradients(config_of(placement, seed), placement, question, keep));
      });
    const auto found = std::find_if(runs.begin(), runs.end(),
                                    [&](const GradientRun& r) { return r.placement() == baseline; });
    for (const GradientRun& run : runs) {
      const bool compared = found != runs.end() && run.placement() != baseline;
      results.push_back(gradient_run_json(run, compared ? &*found : nullptr));
      if (!args.on("json")) print_gradient_run(run, results.back());
    }
  }
  if (trace) series.write([&] { trace->commit(); });
  if (series.failed_at_once(results)) return series.end();
  series.write([&] { write_probe_page(args, "gradients", results); });
  if (args.on("json")) {
    const TrainConfig config = config_of(placements[0], 1);
    print_probe_json("gradients", "", config.data.train, precision_name(config), engine::now() - start,
                     results, base.path);
  }
  std::fflush(stdout);  // before a failure's line
  return series.end();
}

}  // namespace

int probe_gradients(int argc, char** argv) {
  const Arguments args(gradients_usage, argc, argv);
  check_probe_page(args, {"config", "tokens", "data"});
  return args.given("config") ? training_gradients(args) : saved_model_gradients(args);
}

// ------------------------------------------------------------------------------------------ stability

namespace {

// The loss of a model that sees no context.
double unigram_level(const TrainConfig& config) {
  std::unique_ptr<data::Tokenizer> tokenizer;
  if (!config.data.tokenizer.empty()) tokenizer = data::load_tokenizer(config.data.tokenizer);
  check(!config.data.train.empty(), "data.train: names no token shards (make them with `normlab prepare`)");
  return unigram_entropy(*open_tokens(config.data.train, tokenizer.get()), tokenizer.get());
}

Json ramp_json(const std::string& placement, int64_t layers, const std::vector<RampRun>& runs) {
  Json list = Json::array();
  std::vector<std::optional<double>> rates, steps;
  int64_t censored = 0;
  for (const RampRun& run : runs) {
    const bool failed = run.failure.has_value();
    list.push_back({{"seed", run.seed},
                    {"step", failed ? Json(run.failure->step) : Json()},
                    {"lr", number_or_null(run.lr)},
                    {"reason", failed ? Json(run.failure->reason) : Json()},
                    {"detected_at", failed ? Json(run.failure->detected_at) : Json()}});
    rates.push_back(run.lr);
    steps.push_back(failed ? std::optional<double>(double(run.failure->step)) : std::nullopt);
    censored += !failed;
  }
  return {{"placement", placement},
          {"layers", layers},
          {"runs", list},
          {"median_lr", number_or_null(median_with_survivors(rates))},
          {"median_step", number_or_null(median_with_survivors(steps))},
          {"censored", censored}};
}

void print_ramp(const Json& result) {
  const Json& median = result["median_lr"];
  std::printf("%s\n", result["placement"].get<std::string>().c_str());
  for (const Json& run : result["runs"]) {
    if (run["step"].is_null()) {
      std::printf("  seed %lld  held to the end\n", (long long)run["seed"].get<int64_t>());
      continue;
    }
    std::printf("  seed %lld  breaks at update %lld, lr %.4g (%s, seen at update %lld)\n",
                (long long)run["seed"].get<int64_t>(), (long long)run["step"].get<int64_t>(),
                run["lr"].get<double>(), run["reason"].get<std::string>().c_str(),
                (long long)run["detected_at"].get<int64_t>());
  }
  if (median.is_null()) std::printf("  median  not reached\n");
  if (!median.is_null()) std::printf("  median  lr %.4g\n", median.get<double>());
}

}  // namespace

int probe_stability(int argc, char** argv) {
  const Arguments args(stability_usage, argc, argv);
  check_probe_page(args, {"config"});
  const double start = engine::now();
  const WatchedConfig base = watched_config_of(args);
  const RampSettings ramp{args.number("ramp", 1e-12, 1e3), args.number("max-lr", 1e-12, 1e6),
                          args.integer("steps", 0, int64_t(1) << 31)};
  check(ramp.max_lr / ramp.step <= 1e8, "--max-lr ", ramp.max_lr, " takes ", ramp.max_lr / ramp.step,
        " updates of --ramp ", ramp.step);
  const int64_t seeds = args.integer("seeds", 1, 1000);
  for (const std::string& placement : args.positionals()) check_run(ramp_config(base, placement, 1, ramp));
  const TrainConfig config = ramp_config(base, args.positionals()[0], 1, ramp);
  const double level = unigram_level(config);

  Json results = Json::array();
  Series series;
  int64_t runs_made = 0, censored = 0;
  for (const std::string& placement : args.positionals()) {
    std::vector<RampRun> runs;
    for (int64_t seed = 1; seed <= seeds; ++seed)
      series.run(placement, seed,
                 [&] { runs.push_back(run_ramp(ramp_config(base, placement, seed, ramp), level)); });
    if (runs.empty()) break;
    const int64_t layers = resolve_model_config(ramp_config(base, placement, 1, ramp)).layers;
    results.push_back(ramp_json(placement, layers, runs));
    if (!args.on("json")) print_ramp(results.back());
    runs_made += int64_t(runs.size());
    censored += results.back()["censored"].get<int64_t>();
  }
  if (series.failed_at_once(results)) return series.end();
  if (runs_made > 0 && censored == runs_made)
    engine::log_warning("no run broke: raise --max-lr", ramp.updates > 0 ? ", --steps" : "",
                        " or --ramp, or turn clipping off with --set optim.clip=0");
  for (Json& result : results) {
    result["ramp"] = ramp.step;
    result["max_lr"] = ramp.max_lr;
    result["updates"] = config.budget.steps;
    result["unigram_entropy"] = level;
  }
  series.write([&] { write_probe_page(args, "stability", results); });
  if (args.on("json"))
    print_probe_json("stability", "", config.data.train, precision_name(config), engine::now() - start,
                     results, base.path);
  std::fflush(stdout);  // before a failure's line
  return series.end();
}

}  // namespace train
