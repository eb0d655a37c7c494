// normlab finetune: GLUE's tasks on a pretrained masked LM. Read first: finetune/recipe.h, finetune/sweep.h.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/limits.h"
#include "engine/base/log.h"
#include "engine/base/stop.h"
#include "engine/base/text.h"
#include "models/hf/import.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"
#include "train/commands/compute_flags.h"
#include "train/commands/output_file.h"
#include "train/commands/value_list.h"
#include "train/comparison/processes.h"
#include "train/evaluation/json_numbers.h"
#include "train/failure.h"
#include "train/finetune/sweep.h"
#include "train/memory_check.h"
#include "train/open_model.h"
#include "train/signals.h"
#include "train/trainer.h"

namespace train {
namespace {

using engine::check;
using engine::Json;

Usage usage() {
  return {
      "normlab finetune",
      "GLUE's tasks on a pretrained masked LM: every rate with every seed",
      {},
      with_compute_flags(
          {{"task", "cola|sst2|mrpc|qqp|stsb|mnli|qnli|rte|wnli", "the task", "", Arity::required},
           {"model", "DIR", "a run, a model directory or a Hugging Face directory", "", Arity::required},
           {"data", "DIR", "the task's folder, or one that holds folders named after tasks", "", Arity::required},
           {"out", "RUN", "where the runs go", "", Arity::required},
           {"recipe", "fairseq|hf", "whose way of fine-tuning", "fairseq"},
           {"lr", "L,L,...", "learning rates", "the recipe's"},
           {"seeds", "S,S,...", "of a new head, the order of rows and dropout", "1"},
           {"epochs", "N", "passes over the training rows", "the recipe's"},
           {"batch", "B", "rows of an update", "the recipe's"},
           {"max-length", "T", "tokens of a row, the longer text of a pair being cut first; 0: none is cut",
            "the recipe's"},
           {"select", "METRIC", "what the best epoch and the best rate are chosen by", "the task's"},
           {"head", "new|keep", "a classifier's own head, or a new one", "keep where the classes agree"},
           {"set", "a.b=c", "override a key of the training config", "", Arity::repeated},
           {"tokenizer", "DIR", "a tokenizer in place of the model's own"},
           {"predict", "FILE.tsv", "the best run's answers to the test rows, as GLUE takes them"},
           {"keep", "best|all", "whose model stays when all runs are finished", "best"},
           {"only", "NAME", "one run alone (lr-1e-05-seed-1), on this or another machine; no summary"},
           {"jobs", "N", "runs at a time; threads and memory are shared among them", "1"},
           {"resume", "", "go on with the runs in RUN"},
           {"dry-run", "", "print the plan, its config and memory, and stop"}}),
      "Recipes, metrics and files: docs/11-measuring-models.md. Ctrl-C leaves a checkpoint; --resume goes on.\n"};
}

FineTuneRequest request_of(const Arguments& args) {
  FineTuneOptions o;
  o.task = args.text("task");
  o.recipe = args.text("recipe");
  if (args.given("precision")) o.precision = args.text("precision");
  if (args.given("select")) o.select = args.text("select");
  o.overrides = args.values("set");
  o.device = device_of(args);
  if (args.given("lr"))
    o.rates = value_list(args.text("lr"), "--lr",
                         [](const std::string& s) { return parse_number(s, "--lr", 0, 1e15); });
  if (args.given("seeds"))
    o.seeds = value_list(args.text("seeds"), "--seeds", [](const std::string& s) {
      return parse_integer(s, "--seeds", 0, int64_t(1) << 53);
    });
  if (args.given("epochs")) o.epochs = args.number("epochs", 1e-6, 1e6);
  if (args.given("batch")) o.batch = args.integer("batch", 1, 1 << 20);
  if (args.given("max-length")) o.max_length = args.integer("max-length", 0, 1 << 26);
  if (args.given("head")) o.head = args.text("head") == "new" ? HeadChoice::fresh : HeadChoice::keep;
  FineTuneRequest request = fine_tune_request(o);
  request.model = resolve_model(args.text("model"));
  request.data = args.text("data");
  request.tokenizer = args.text("tokenizer");
  return request;
}

std::string lower(std::string text) {
  for (char& c : text) c = char(std::tolower(uint8_t(c)));
  return text;
}

// Error: the head names the task's classes in another order. A warning: it does not name them, and the order
// may be another one.
void check_order(const FineTuneRequest& request, const models::ModelConfig& model) {
  const data::GlueTask& task = request.task;
  std::vector<std::string> names;
  for (const std::string& name : model.class_names) names.push_back(lower(name));
  for (const std::vector<std::string>& wanted : {task.classes, task.words}) {
    if (names.empty() || wanted.empty()) continue;
    if (names == wanted) return;
    if (!std::is_permutation(names.begin(), names.end(), wanted.begin(), wanted.end())) continue;
    const size_t i = size_t(std::mismatch(names.begin(), names.end(), wanted.begin()).first - names.begin());
    engine::fail("the head in ", request.model, " has \"", model.class_names[i], "\" for class ", i, ", ",
                 task.name, " \"", wanted[i], "\"; --head new begins another");
  }
  if (names.empty() && task.classes[0] == "0") return;  // 0 and 1: nobody numbers them otherwise
  std::string order;
  for (const std::string& name : task.classes) order += (order.empty() ? "" : ", ") + name;
  engine::log_warning(
      "the head in ", request.model, names.empty() ? " does not name its classes" : " names other classes",
      "; they are taken for ", order, " in this order, Hugging Face's copy of a task may have another");
}

// Which head the runs begin with. Error: one is to be kept that is of other classes.
models::HeadInit head_of(const FineTuneRequest& request, const models::ModelConfig& model) {
  const models::HeadInit fresh =
      request.recipe == Recipe::fairseq ? models::HeadInit::uniform : models::HeadInit::normal;
  const std::vector<std::string>& wanted = request.task.classes;
  const int64_t classes = std::max<int64_t>(1, int64_t(wanted.size()));
  const bool has_head = model.objective == models::Objective::classify;
  const bool keep = request.head == HeadChoice::keep ||
                    (request.head == HeadChoice::automatic && has_head && model.classes == classes);
  if (!keep) return fresh;
  check(has_head, "--head keep: the model in ", request.model, " has no classification head");
  check(model.classes == classes, "--head keep: the head in ", request.model, " has ", model.classes, " outputs, ",
        request.task.name, " needs ", classes, "; --head new begins another");
  check_order(request, model);
  return models::HeadInit::kept;
}

// Number formats and device of the runs.
nn::Precision precision_of(const FineTuneRequest& request) {
  if (!request.f64) return precision_of(request.config);
  nn::Precision precision = nn::Precision::of(engine::DType::f64);
  precision.device = request.config.device;
  return precision;
}

FineTuneSetup open_setup(const FineTuneRequest& request) {
  FineTuneSetup setup{.request = request};
  const engine::DType dtype = request.f64 ? engine::DType::f64 : engine::DType::f32;
  OpenModel open = open_model(request.model, nn::Precision::of(dtype), request.tokenizer);
  const models::ModelConfig& config = open.model->config();
  check(!config.causal(), request.model, ": a causal model; fine-tuning needs a masked LM or a classifier");
  text_tokenizer(open);  // or an error
  setup.head = head_of(request, config);
  setup.precision = precision_of(request);
  setup.data = read_glue_data(request, *open.tokenizer,
                              request.tokenizer.empty() ? open.folder : request.tokenizer, config);
  setup.source = std::move(open.model);
  setup.tokenizer = std::move(open.tokenizer);
  return setup;
}

// ------------------------------------------------------------------------------------------------- plan

// Bytes of tensors at the longest rows, on the device of the runs.
double memory_of(const FineTuneSetup& setup) {
  const FineTuneRequest& r = setup.request;
  const int64_t rows = int64_t(setup.data.train.rows.size());
  TrainConfig config = run_config(r, rows, r.rates[0], r.seeds[0]);
  config.data.batch = std::min(config.data.batch, rows);
  const double bytes = planned_memory(config, setup.source->config(), setup.data.train.longest());
  return r.f64 ? 2 * bytes : bytes;
}

void check_fits(const FineTuneSetup& setup, int64_t jobs) {
  const double needed = memory_of(setup),
               available = available_memory_of(setup.request.config.device) / double(jobs);
  check(available <= 0 || needed <= available, "a run needs ", engine::human_bytes(needed),
        " of memory at rows of ", setup.data.train.longest(), " tokens, and has ",
        engine::human_bytes(available),
        ": lower --batch, --max-length or --jobs, or --set activation_checkpointing=true");
}

// What a run's budget comes to, in words.
std::string budget_text(const TrainConfig& config, int64_t per_epoch) {
  const BudgetConfig& b = config.budget;
  std::string out;
  const auto limit = [&](const std::string& text) { out += (out.empty() ? "" : ", or ") + text; };
  if (b.steps > 0) limit(engine::join_text(b.steps, " updates (", per_epoch, " an epoch)"));
  if (b.tokens > 0) limit(engine::human_count(double(b.tokens)) + " tokens");
  if (b.seconds > 0) limit(engine::human_seconds(b.seconds));
  return out;
}

// The keys that every form of the command's JSON begins with.
Json result_head(const FineTuneSetup& setup) {
  const FineTuneRequest& r = setup.request;
  Json out = result_of("finetune");
  out.update({{"task", r.task.name},
              {"recipe", r.recipe == Recipe::hf ? "hf" : "fairseq"},
              {"model", r.model},
              {"data", setup.data.train.file},
              {"precision", precision_name(r)},
              {"device", engine::name_of(r.config.device)},
              {"select", r.select},
              {"epoch_by", r.epoch_by.empty() ? Json("last") : Json(r.epoch_by)}});
  return out;
}

// Of a plan: the runs that would be trained, "planned", and what print_plan says of them.
Json plan_json(const FineTuneSetup& setup, const std::vector<SweepRun>& runs, const std::string& out_folder) {
  const FineTuneRequest& r = setup.request;
  const int64_t rows = int64_t(setup.data.train.rows.size()), updates = total_updates(r, rows);
  Json results = Json::array();
  for (const SweepRun& run : runs)
    results.push_back({{"lr", run.lr},
                       {"seed", run.seed},
                       {"status", "planned"},
                       {"updates", updates > 0 ? Json(updates) : Json()},
                       {"epoch", nullptr},
                       {"dev", nullptr},
                       {"select", r.select},
                       {"value", nullptr},
                       {"path", out_folder + "/" + run.name()}});
  const auto set = [](const GlueRows& set) {
    return Json({{"file", set.file},
                 {"rows", set.rows.size()},
                 {"tokens", set.tokens()},
                 {"longest", set.longest()}});
  };
  Json out = result_head(setup);
  out.update({{"results", results},
              {"best_lr", nullptr},
              {"at_best_lr", nullptr},
              {"head", setup.head == models::HeadInit::kept ? "keep" : "new"},
              {"train", set(setup.data.train)},
              {"dev", set(setup.data.dev)},
              {"updates_per_epoch", updates_per_epoch(r, rows)},
              {"warmup", run_config(r, rows, r.rates[0], r.seeds[0]).schedule.warmup},
              {"memory", memory_of(setup)},
              {"plan", to_json(r)}});
  return out;
}

void print_plan(const FineTuneSetup& setup) {
  const FineTuneRequest& r = setup.request;
  const GlueRows &train = setup.data.train, &dev = setup.data.dev;
  const int64_t rows = int64_t(train.rows.size());
  const TrainConfig config = run_config(r, rows, r.rates[0], r.seeds[0]);
  const bool kept = setup.head == models::HeadInit::kept;
  std::printf("%s, recipe %s, %s head\n", r.task.name.c_str(), r.recipe == Recipe::hf ? "hf" : "fairseq",
              kept ? "the model's own" : "a new");
  std::printf("%s: %lld rows of %.1f tokens on average, %lld at most\n", engine::printable(train.file).c_str(),
              (long long)rows, double(train.tokens()) / double(rows), (long long)train.longest());
  std::printf("%s: %zu rows\n", engine::printable(dev.file).c_str(), dev.rows.size());
  std::printf("%zu runs of %s, %lld of them warm-up\n", runs_of(r).size(),
              budget_text(config, updates_per_epoch(r, rows)).c_str(), (long long)config.schedule.warmup);
  std::printf("chosen by %s; epoch: %s\n", r.select.c_str(),
              r.epoch_by.empty() ? "the last" : ("the best " + r.epoch_by).c_str());
  std::printf("memory: %s of tensors at the longest rows, of %s available\n",
              engine::human_bytes(memory_of(setup)).c_str(),
              engine::human_bytes(available_memory_of(r.config.device)).c_str());
  std::printf("%s\n", engine::json_text(to_json(r), 1).c_str());
}

// --------------------------------------------------------------------------------------------- training

bool train_here(const FineTuneSetup& setup, const std::vector<SweepRun>& runs, const std::string& out) {
  const SignalGuard signals;
  for (const SweepRun& run : runs) {
    const std::string folder = out + "/" + run.name();
    if (!run.result(out).is_null()) {
      engine::remove_tree(folder + "/checkpoints");  // of a process that ended before it could
      continue;
    }
    engine::log_info(run.name());
    wait_until_free(folder);
    if (!FineTuneRun(setup, run.lr, run.seed, folder).run()) return false;
  }
  return true;
}

// Each run as a process of this program, with --only. One that dies without a result is begun once more, then
// its name is added to `died`. False: interrupted.
bool train_in_processes(const FineTuneRequest& request, const Arguments& args, const std::string& out,
                        int64_t jobs, std::vector<std::string>& died) {
  const int64_t threads = std::max<int64_t>(1, engine::cpu::thread_count() / jobs);
  std::vector<std::string> common = {"finetune"};
  for (const char* flag : {"task", "model", "data", "out", "recipe", "lr", "seeds", "epochs", "batch",
                           "max-length", "select", "head", "tokenizer", "precision", "device"})
    if (args.given(flag)) common.insert(common.end(), {std::string("--") + flag, args.text(flag)});
  for (const std::string& text : args.values("set")) common.insert(common.end(), {"--set", text});
  common.insert(common.end(), {"--resume", "--threads", std::to_string(threads)});
  // Rows of many lengths leave blocks of many sizes, which a process would keep until the GPU has no more.
  const double memory = available_memory_of(request.config.device) / double(jobs);
  const std::string share = "NORMLAB_DEVICE_SHARE=" + std::to_string(int64_t(memory));
  for (int attempt = 1; attempt <= 2; ++attempt) {
    std::vector<ChildCommand> commands;
    for (const SweepRun& run : runs_of(request)) {
      const std::string folder = out + "/" + run.name();
      if (!run.result(out).is_null()) continue;
      engine::make_directories(folder);
      wait_until_free(folder);
      commands.push_back({common, folder + "/log.txt"});
      commands.back().arguments.insert(commands.back().arguments.end(), {"--only", run.name()});
    }
    if (commands.empty()) return true;
    const std::vector<ChildEnd> ends = run_children(commands, std::vector<std::string>(size_t(jobs), share));
    for (size_t i = 0; i < ends.size(); ++i)
      check(ends[i] != ChildEnd::refused, commands[i].log, ": ", last_words(commands[i].log));
    if (std::find(ends.begin(), ends.end(), ChildEnd::interrupted) != ends.end()) return false;
  }
  for (const SweepRun& run : runs_of(request))
    if (const std::string folder = out + "/" + run.name(); run.result(out).is_null()) {
      engine::log_warning(folder, ": failed; ", folder, "/log.txt says why, --resume begins it again");
      died.push_back(run.name());
    }
  return true;
}

// ---------------------------------------------------------------------------------------------- results

void print_results(const FineTuneRequest& request, const Json& result) {
  const std::vector<std::string> metrics = metrics_of(request.task);
  std::printf("%-8s %5s %-8s %8s %6s %9s", "lr", "seed", "status", "updates", "epoch", "dev loss");
  for (const std::string& name : metrics) std::printf(" %16s", name.c_str());
  std::printf("\n");
  const auto number = [](const Json& value, int width, const char* pattern) {
    char text[64] = "-";
    if (value.is_number()) std::snprintf(text, sizeof text, pattern, value.get<double>());
    std::printf(" %*s", width, text);
  };
  for (const Json& r : result["results"]) {
    std::printf("%-8.6g %5lld %-8s", r["lr"].get<double>(), (long long)r["seed"].get<int64_t>(),
                r["status"].get<std::string>().c_str());
    number(r["updates"], 8, "%.0f");
    number(r["epoch"], 6, "%.4g");
    const Json dev = r["dev"].is_object() ? r["dev"] : Json::object();
    number(dev.value("loss", Json()), 9, "%.4f");
    for (const std::string& name : metrics) number(dev.value(name, Json()), 16, "%.4f");
    std::printf("\n");
  }
  const Json& at = result["at_best_lr"];
  if (at.is_null()) return;
  std::printf("best rate %.6g: %s median %.4f, mean %.4f", result["best_lr"].get<double>(), request.select.c_str(),
              at["median"].get<double>(), at["mean"].get<double>());
  if (at["sd"].is_number()) std::printf(" ± %.4f (sd)", at["sd"].get<double>());
  std::printf(", %lld seed%s\n", (long long)at["n"].get<int64_t>(), at["n"] == 1 ? "" : "s");
}

// Where test rows stand, where their answers go (of MNLI two files), and the rows once they are read.
struct TestSet {
  std::string file, answers;
  GlueRows rows = {};
};

// Error: an answers' file would replace what it should not.
std::vector<TestSet> test_sets(const FineTuneRequest& request, const std::string& answers) {
  const auto file = [&](const char* split) {
    const std::string path = data::glue_file(request.task.name, request.data, split);
    check(!path.empty(), request.data, ": no ", split, " file of ", request.task.name, " there, so --predict has no "
          "rows to answer");
    return path;
  };
  std::vector<TestSet> out = {{file("test"), answers}};
  if (request.task.name == "mnli") {
    const size_t dot = answers.ends_with(".tsv") ? answers.size() - 4 : answers.size();
    out.push_back({file("test_mm"), answers.substr(0, dot) + "-mm" + answers.substr(dot)});
  }
  std::vector<std::string> inputs;
  for (const char* split : {"train", "dev", "dev_mm", "test", "test_mm"})
    inputs.push_back(data::glue_file(request.task.name, request.data, split));
  for (const TestSet& set : out) check_output("--predict " + set.answers, set.answers, inputs);
  return out;
}

void read_tests(const FineTuneSetup& setup, std::vector<TestSet>& sets) {
  const RowRules rules = row_rules(setup.request, setup.source->config(), setup.data.form);
  for (TestSet& set : sets)
    set.rows = encode_glue(setup.request.task.name, set.file, *setup.tokenizer, setup.data.form, rules,
                           setup.data.label_scale, /*labelled=*/false);
}

void predict(const FineTuneSetup& setup, const std::string& run, const std::vector<TestSet>& sets) {
  const auto model = models::load_any(run + "/model", setup.precision).model;
  for (const TestSet& set : sets) {
    engine::write_file(set.answers, submission(setup.request.task, setup.data, set.rows,
                                               glue_outputs(*model, setup.data, set.rows)));
    engine::log_info(set.answers, ": answers of ", run, " to ", set.rows.rows.size(), " rows");
  }
}

}  // namespace

int cmd_finetune(int argc, char** argv) {
  const Arguments args(usage(), argc, argv);
  ignore_broken_pipes();
  const double started = engine::now();
  apply_threads(args);
  const FineTuneRequest request = request_of(args);
  const std::string out = args.text("out"), answers = args.text("predict");
  const int64_t jobs = args.integer("jobs", 1, 1024);
  std::vector<SweepRun> runs = runs_of(request);
  if (args.given("only")) {
    std::erase_if(runs, [&](const SweepRun& run) { return run.name() != args.text("only"); });
    check(runs.size() == 1, "--only ", args.text("only"), ": no run of this name; --lr and --seeds give ",
          runs_of(request)[0].name(), " and the like");
    check(answers.empty(), "--predict needs all runs: it goes without --only");
  }
  std::vector<TestSet> tests = answers.empty() ? std::vector<TestSet>() : test_sets(request, answers);
  const FineTuneSetup setup = open_setup(request);
  read_tests(setup, tests);
  const auto print_json = [&](Json json) {
    json["seconds"] = engine::now() - started;
    std::printf("%s\n", engine::json_text(json, 1).c_str());
  };
  if (args.on("dry-run")) {
    if (args.on("json"))
      print_json(plan_json(setup, runs, out));
    else
      print_plan(setup);
    return 0;
  }
  check_fits(setup, jobs);
  if (args.given("only")) {
    engine::make_directories(out);
    write_plan(setup, out, /*resume=*/true);
    if (!train_here(setup, runs, out)) return 130;
    Json result = runs[0].result(out), json = result_head(setup);
    result["path"] = out + "/" + runs[0].name();
    json.update({{"results", Json::array({result})}, {"best_lr", nullptr}, {"at_best_lr", nullptr}});
    if (args.on("json")) print_json(json);
    if (result["status"] == "failed") throw Failure(runs[0].name() + ": " + result.value("error", "failed"));
    return 0;
  }
  const RunDir lock(out, RunStart::resume);
  write_plan(setup, out, args.on("resume"));
  std::vector<std::string> died;
  const bool finished =
      jobs > 1 ? train_in_processes(request, args, out, jobs, died) : train_here(setup, runs, out);

  Json result = result_head(setup);
  const Json results = sweep_results(request, out, died), summary = sweep_summary(request, results);
  result["seconds"] = engine::now() - started;
  result["results"] = results;
  result.update(summary);
  engine::write_file(out + "/finetune.json", engine::json_text(result, 1) + "\n");
  if (!finished) {
    engine::log_info("stopped; --resume goes on");
    return 130;
  }
  const std::string best = best_run(results, summary);
  if (args.text("keep") == "best" && !best.empty())
    for (const Json& r : results)
      if (r["path"] != best) engine::remove_tree(r["path"].get<std::string>() + "/model");
  if (args.on("json"))
    std::printf("%s\n", engine::json_text(result, 1).c_str());
  else
    print_results(request, result);
  if (best.empty())
    throw Failure(out + ": no run has a value of " + request.select + "; log and metrics say why");
  if (!tests.empty()) predict(setup, best, tests);
  return 0;
}

}  // namespace train
