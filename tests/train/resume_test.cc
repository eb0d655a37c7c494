// Going on with a run under another config: the model must be the same, other changes take effect and are
// said.
#include "train/checkpoint/resume.h"

#include <catch2/catch.hpp>

#include "engine/base/check.h"
#include "training_support.h"

using namespace train;
using Catch::Matchers::Contains;

namespace {

models::ModelConfig model_of(const Job& job) {
  return models::model_config_from_section(job.config["model"], "model");
}

/// What changes when one key of the job's config is set.
ChangedSettings after(const std::string& path, const Json& value) {
  Job job;
  const Json before = settings_json(parse_config(job.config, "test"), 1);
  return changed_settings(before, parse_config(job.set(path, value).config, "test"), 1);
}

std::vector<double> losses(const Job& job, const std::string& run) { return series(job.run(run), "loss"); }

}  // namespace

TEST_CASE("resume: every key of the model that alters its numbers is refused, by name and both values") {
  Job job;
  const models::ModelConfig model = model_of(job);
  CHECK_NOTHROW(check_same_model(model, model, "ckpt"));
  const auto refused = [&](const char* key, const Json& value, const std::string& line) {
    Job other;
    other.config["model"][key] = value;
    CHECK_THROWS_WITH(check_same_model(model, model_of(other), "ckpt"), Contains("ckpt: ") && Contains(line));
  };
  refused("activation", "relu", "model.activation is \"relu\", the checkpoint's \"gelu\"");
  refused("norm_eps", 1e-3, "model.norm_eps is 0.001, the checkpoint's the default");
  refused("norms", "pre_ln", "model.norms");
  refused("attn_softcap", 30.0, "model.attn_softcap");
  refused("heads", 4, "model.heads is 4, the checkpoint's 2");
  refused("position_offset", 2, "model.position_offset");
  models::ModelConfig moved = model;
  moved.tokenizer = "tokenizer.json", moved.norms.init = "gpt2";
  CHECK_NOTHROW(check_same_model(model, moved, "ckpt"));
}

TEST_CASE("resume: another activation ends it before anything is written") {
  Job job;
  job.set("budget.steps", 4).train("run");
  const std::string before = engine::read_file(job.run("run") + "/metrics.jsonl");
  job.config["model"]["activation"] = "relu";
  CHECK_THROWS_WITH(job.set("budget.steps", 8).train("run", RunStart::resume), Contains("model.activation"));
  CHECK(engine::read_file(job.run("run") + "/metrics.jsonl") == before);
}

TEST_CASE("resume: each training key that alters losses is said, what nobody needs to hear is not") {
  Job job;
  TrainConfig config = parse_config(job.config, "test");
  const Json same = settings_json(config, 1);
  CHECK(changed_settings(same, config, 1).numbers.empty());
  CHECK(changed_settings(same, config, 1).others.empty());
  CHECK(changed_settings(Json(), config, 1).numbers.empty());  // a checkpoint from before settings were kept

  CHECK(after("optim.eps", 1e-3).numbers == "optim.eps 1e-08 -> 0.001");
  CHECK(after("optim.betas", {0.5, 0.9}).numbers == "optim.betas [0.9,0.95] -> [0.5,0.9]");
  CHECK(after("precision", "bf16").numbers == "precision \"f32\" -> \"bf16\"");
  for (const auto& [key, value] : std::vector<std::pair<const char*, Json>>{{"data.batch", 2},
                                                                            {"data.accumulate", 2},
                                                                            {"data.context", 8},
                                                                            {"data.sampler", "random_crop"},
                                                                            {"data.train", "elsewhere"},
                                                                            {"optim.lr", 0.5},
                                                                            {"optim.weight_decay", 0.0},
                                                                            {"optim.decay", "all"},
                                                                            {"optim.clip", 0.0},
                                                                            {"schedule.name", "constant"},
                                                                            {"schedule.warmup", 3},
                                                                            {"schedule.steps", 30},
                                                                            {"dropout.residual", 0.1},
                                                                            {"ema.decay", 0.9},
                                                                            {"seed", 7}}) {
    INFO(key);
    CHECK_THAT(after(key, value).numbers, Contains(std::string(key) + " "));
    CHECK(after(key, value).others.empty());
  }
  for (const auto& [key, value] : std::vector<std::pair<const char*, Json>>{
           {"budget.steps", 30}, {"eval.every", 3}, {"eval.batches", 1}}) {
    INFO(key);
    CHECK_THAT(after(key, value).others, Contains(std::string(key) + " "));
    CHECK(after(key, value).numbers.empty());
  }
  for (const auto& [key, value] :
       std::vector<std::pair<const char*, Json>>{{"log.every", 3}, {"checkpoint.keep", 5}, {"threads", 2}}) {
    INFO(key);
    CHECK(after(key, value).numbers.empty());
    CHECK(after(key, value).others.empty());
  }
  // A decay whose length is the budget's moves with it.
  job.set("schedule.steps", 0);
  const Json before = settings_json(parse_config(job.config, "test"), 1);
  CHECK(changed_settings(before, parse_config(job.set("budget.steps", 30).config, "test"), 1).numbers ==
        "budget.steps 24 -> 30");
}

TEST_CASE(
    "resume: without the average training goes on from the raw weights, with a new one from the weights") {
  Job job;
  job.set("budget.steps", 8).train("plain");
  Job cut;
  cut.set("budget.steps", 4).set("ema.decay", 0.9).train("run");
  std::vector<double> first = losses(job, "plain");
  first.resize(4);
  CHECK(losses(cut, "run") == first);
  SECTION("off") { cut.set("ema.decay", 0.0); }
  SECTION("another decay") { cut.set("ema.decay", 0.5); }
  cut.set("budget.steps", 8).train("run", RunStart::resume);
  CHECK(losses(cut, "run") == losses(job, "plain"));
  cut.set("budget.steps", 12).set("ema.decay", 0.75).train("run", RunStart::resume);
  job.set("budget.steps", 12).train("plain", RunStart::resume);
  CHECK(losses(cut, "run") == losses(job, "plain"));
}

TEST_CASE("resume: a run may change its precision, f16 begins with its first loss scale") {
  Job job;
  job.set("budget.steps", 4).set("loss_scale.init", 64).train("run");
  for (const char* precision : {"bf16", "f16", "f32", "f16"}) {
    INFO(precision);
    const int64_t steps = int64_t(losses(job, "run").size()) + 2;
    job.set("precision", precision).set("budget.steps", steps).train("run", RunStart::resume);
    CHECK(losses(job, "run").size() == size_t(steps));
  }
  CHECK(series(job.run("run"), "loss_scale").back() == 64);
}

TEST_CASE("resume: without a checkpoint the run begins again and keeps what it had logged") {
  Job job;
  job.set("budget.steps", 6).train("run");
  const std::string metrics = job.run("run") + "/metrics.jsonl", before = engine::read_file(metrics);
  std::filesystem::remove_all(job.run("run") + "/checkpoints");
  job.set("budget.steps", 2).train("run", RunStart::resume);
  CHECK(losses(job, "run").size() == 2);
  CHECK(engine::read_file(metrics + ".old") == before);
  std::filesystem::remove_all(job.run("run") + "/checkpoints");
  job.set("budget.steps", 3).train("run", RunStart::resume);
  CHECK(engine::read_file(metrics + ".old") == before);
}
