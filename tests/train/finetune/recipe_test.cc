// What the two recipes say: optimizer, schedule, sizes, selection; and what overrides may change.
#include "train/finetune/recipe.h"

#include <catch2/catch.hpp>
#include <set>

#include "train/finetune/glue_rows.h"
#include "train/schedule.h"

using namespace train;
using Catch::Matchers::Contains;

namespace {

FineTuneRequest request(const std::string& task, const std::string& recipe,
                        const std::vector<std::string>& overrides = {}) {
  FineTuneOptions o;
  o.task = task, o.recipe = recipe, o.overrides = overrides;
  return fine_tune_request(o);
}

std::string refusal(const std::string& override_text) {
  try {
    request("cola", "fairseq", {override_text});
  } catch (const engine::Error& e) {
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("fairseq's recipe has its published numbers") {
  struct Row {
    const char* task;
    double lr;
    int64_t batch, rows, updates, warmup;
  };
  // Rows such that ten epochs are the published updates (or the next multiple of ten).
  const Row table[] = {{"cola", 1e-5, 16, 8551, 5350, 321},      {"rte", 2e-5, 16, 2490, 1560, 93},
                       {"sst2", 1e-5, 32, 67349, 21050, 1263},   {"qqp", 1e-5, 32, 363846, 113710, 28427},
                       {"mnli", 1e-5, 32, 392702, 122720, 7363}, {"mrpc", 1e-5, 16, 3668, 2300, 138},
                       {"qnli", 1e-5, 32, 104743, 32740, 1964},  {"stsb", 2e-5, 16, 5749, 3600, 214}};
  for (const Row& row : table) {
    INFO(row.task);
    const FineTuneRequest r = request(row.task, "fairseq");
    CHECK(r.rates == std::vector<double>{row.lr});
    CHECK(r.config.data.batch == row.batch);
    CHECK(total_updates(r, row.rows) == row.updates);
    CHECK(warmup_updates(r, row.updates) == row.warmup);
    CHECK(r.config.optim.name == OptimizerKind::adam);
    CHECK(r.config.optim.betas == std::array<double, 2>{0.9, 0.98});
    CHECK(r.config.optim.eps == 1e-6);
    CHECK(r.config.optim.weight_decay == 0.1);
    CHECK(r.config.optim.decay == DecayGroup::all);
    CHECK(r.config.optim.clip == 0);
    CHECK(r.config.dropout.residual == 0.1);
    CHECK(r.config.dropout.attention == 0.1);
    CHECK(r.config.dropout.head == 0);
    CHECK(r.max_length == 0);
    CHECK(r.epoch_by == (row.task == std::string("stsb") ? "pearson" : "accuracy"));
  }
  CHECK(request("cola", "fairseq").select == "matthews");
  CHECK(request("stsb", "fairseq").select == "pearson_spearman");
  CHECK(request("mrpc", "fairseq").select == "accuracy_f1");
  // The first update has rate 0, the last one nearly none.
  const FineTuneRequest rte = request("rte", "fairseq");
  const TrainConfig config = run_config(rte, 2490, 2e-5, 7);
  const Schedule schedule(config.schedule, config.optim.lr, config.budget.steps);
  CHECK(schedule.rate(0) == 0);
  CHECK(schedule.rate(93) == 2e-5);
  CHECK(schedule.rate(1559) == Approx(2e-5 / 1467));
  CHECK(config.seed == 7);
}

TEST_CASE("the Trainer's recipe") {
  const FineTuneRequest r = request("mnli", "hf");
  CHECK(r.rates == std::vector<double>{5e-5});
  CHECK(r.config.data.batch == 8);
  CHECK(r.config.optim.name == OptimizerKind::adamw);
  CHECK(r.config.optim.betas == std::array<double, 2>{0.9, 0.999});
  CHECK(r.config.optim.eps == 1e-8);
  CHECK(r.config.optim.weight_decay == 0);
  CHECK(r.config.optim.decay == DecayGroup::matrices);
  CHECK(r.config.optim.clip == 1);
  CHECK(r.config.dropout.head == 0.1);
  CHECK(r.max_length == 128);
  CHECK(r.epoch_by.empty());
  CHECK(total_updates(r, 17) == 9);  // three epochs of 3 updates, the last of each with one row
  CHECK(warmup_updates(r, 900) == 0);
  CHECK(warmup_updates(request("mnli", "hf", {"schedule.warmup=0.1"}), 95) == 10);       // rounded up
  CHECK(warmup_updates(request("mnli", "fairseq", {"schedule.warmup=0.1"}), 95) == 9);  // rounded down
  CHECK(warmup_updates(request("mnli", "hf", {"schedule.warmup=7"}), 95) == 7);
  CHECK(total_updates(request("mnli", "hf", {"budget.steps=4"}), 17) == 4);
  CHECK(run_config(r, 17, 1e-3, 1).schedule.steps == 9);
}

TEST_CASE("fine-tuning reads every key of the training config but those of model and data, and six more") {
  const std::set<std::string> more = {"from", "init", "log.samples", "seed", "device", "threads"};
  TrainConfig defaults;
  const engine::Json values = config_json(defaults);
  for (const Field& field : config_fields(defaults)) {
    const std::string& path = field.path;
    const size_t dot = path.find('.');
    const engine::Json& value =
        dot == path.npos ? values[path] : values[path.substr(0, dot)][path.substr(dot + 1)];
    const std::string text = path == "budget.epochs" ? "2"
                             : value.is_string()     ? std::string(value)
                                                     : value.dump();
    INFO(path << "=" << text);
    const bool refused =
        path == "model" || (path.starts_with("data.") && path != "data.order") || more.contains(path);
    const std::string end =
        refusal((path == "model" ? "model.layers" : path) + "=" + (text == "{}" ? "2" : text));
    if (!refused) CHECK(end == "accepted");
    if (refused) CHECK_THAT(end, Contains("fine-tuning does not read this key; "));
  }
}

TEST_CASE("keys that fine-tuning does not read are refused, with the flag that says it") {
  CHECK(refusal("data.order=file") == "accepted");
  CHECK_THAT(refusal("data.batch=4"), Contains("--batch has it"));
  CHECK_THAT(refusal("data.context=4"), Contains("--max-length has it"));
  CHECK_THAT(refusal("seed=4"), Contains("--seeds has it"));
  CHECK_THAT(refusal("model.layers=2"), Contains("--model has it"));
  CHECK_THAT(refusal("data.train=x"), Contains("those of --task and --data"));
  CHECK_THAT(refusal("init=bert"), Contains("a new head the recipe's"));
  CHECK_THAT(refusal("log.samples=5"), Contains("a classifier writes no text"));
  CHECK_THAT(refusal("optim.esp=1"), Contains("nearest valid key: \"optim.eps\""));
  CHECK_THAT(refusal("budget.epochs=0"), Contains("nothing to train"));
  FineTuneOptions o;
  o.task = "sst2", o.select = "matthews";
  CHECK_THROWS_WITH(fine_tune_request(o), Contains("--select matthews: sst2 has accuracy"));
  o.task = "sst", o.select = "";
  CHECK_THROWS_WITH(fine_tune_request(o), Contains("nearest: sst2"));
}

TEST_CASE("budgets in tokens and seconds end a run beside the epochs, or alone") {
  const FineTuneRequest beside = request("rte", "fairseq", {"budget.seconds=90", "budget.tokens=5k"});
  const TrainConfig both = run_config(beside, 100, 1e-5, 1);
  CHECK(both.budget.steps == 70);
  CHECK(both.budget.seconds == 90);
  CHECK(both.budget.tokens == 5000);
  CHECK(both.schedule.warmup == 4);
  CHECK(both.schedule.steps == 0);  // the decay follows what is spent
  const auto alone = [](const std::vector<std::string>& overrides) {
    std::vector<std::string> all = {"budget.epochs=0", "budget.seconds=90"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return request("rte", "fairseq", all);
  };
  CHECK_THROWS_WITH(alone({}), Contains("schedule.warmup: a share of the updates"));
  CHECK(total_updates(alone({"schedule.warmup=3"}), 100) == 0);
  CHECK(run_config(alone({"schedule.warmup=3"}), 100, 1e-5, 1).schedule.warmup == 3);
  CHECK(total_updates(request("rte", "hf", {"budget.epochs=0", "budget.tokens=90"}), 100) == 0);
}

TEST_CASE("a patience counts the validations after each epoch, or those of eval.every") {
  CHECK(request("rte", "hf", {"eval.patience=2"}).config.eval.patience == 2);
  CHECK(request("rte", "hf", {"eval.patience=2"}).config.eval.every == 0);
  CHECK(request("rte", "hf", {"eval.patience=2", "eval.every=7"}).config.eval.every == 7);
}

TEST_CASE("the order of rows is a permutation by seed and epoch, or the file's") {
  TrainConfig config;
  config.seed = 3;
  const auto order = [&](int64_t epoch) {
    std::vector<int64_t> out;
    for (int64_t i = 0; i < 50; ++i) out.push_back(row_of(config, epoch, 50, i));
    return out;
  };
  const auto first = order(0);
  CHECK(std::set<int64_t>(first.begin(), first.end()).size() == 50);
  CHECK(first == order(0));
  CHECK(first != order(1));
  config.seed = 4;
  CHECK(first != order(0));
  config.data.order = RowOrder::file;
  CHECK(order(0)[7] == 7);
}
