// Keys of the training config in `normlab finetune --set`: budgets that are no number of epochs, early stops,
// averaged weights, what is logged.
#include <catch2/catch.hpp>
#include <filesystem>

#include "glue_files.h"
#include "train/metrics.h"

using namespace train;
using Catch::Matchers::Contains;

TEST_CASE("budgets in tokens and seconds end a run, and its rate decays by what is spent", "[medium]") {
  GlueFiles files;
  const std::string common =
      "--lr 0.01 --batch 4 --json --recipe hf --set budget.epochs=0 --set log.every=1 ";
  const Json tokens = json_of(run_normlab(files.command("cola", "a", common + "--set budget.tokens=300")));
  const Json& run = tokens["results"][0];
  CHECK(run["status"] == "done");
  std::vector<Json> lines;
  for (const Json& line : read_metrics(files / "a/lr-0.01-seed-1/metrics.jsonl"))
    if (line.contains("loss")) lines.push_back(line);
  CHECK(run["updates"] == lines.size());
  CHECK(run["dev"]["rows"] == 12);
  CHECK(lines.back()["tokens"].get<int64_t>() >= 300);
  double before = 0;
  for (const Json& line : lines) {
    CHECK(before < 300);
    CHECK(line["lr"].get<double>() == Approx(0.01 * (1 - before / 300)));
    before = line["tokens"];
  }
  const Json seconds = json_of(run_normlab(files.command("cola", "b", common + "--set budget.seconds=0.2")));
  CHECK(seconds["results"][0]["seconds"].get<double>() >= 0.2);
  CHECK(seconds["results"][0]["dev"].is_object());
  const std::string plan = common + "--set budget.seconds=90 --dry-run";
  CHECK(json_of(run_normlab(files.command("cola", "none", plan)))["results"][0]["updates"].is_null());
}

TEST_CASE("eval.patience, eval.batches, log.layers and log.tensorboard are those of training") {
  GlueFiles files;
  const std::string common =
      "--lr 0 --batch 4 --json --epochs 9 --set eval.batches=2 --set eval.patience=2 --set log.layers=10 "
      "--set log.tensorboard=true --recipe ";
  for (const char* recipe : {"fairseq", "hf"}) {
    const Json run = json_of(run_normlab(files.command("cola", recipe, common + recipe)))["results"][0];
    CHECK(run["status"] == "done");
    CHECK(run["updates"] == 30);  // two epochs after the first, without a gain
    CHECK(run["epoch"] == 3);
    CHECK(run["dev"]["rows"] == 8);
    const std::string folder = run["path"];
    CHECK(std::filesystem::exists(folder + "/model/model.safetensors"));
    int layers = 0, events = 0;
    for (const Json& line : read_metrics(folder + "/metrics.jsonl")) layers += line.contains("layers");
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      events += entry.path().filename().string().starts_with("events.out.tfevents");
    CHECK(layers == 3);
    CHECK(events == 1);
  }
}

TEST_CASE("ema.decay: averaged weights are evaluated and kept, raw ones trained on") {
  GlueFiles files;
  const std::string common =
      "--batch 4 --json --recipe hf --set dropout.residual=0 --set dropout.attention=0 --set dropout.head=0 "
      "--set log.every=1 ";
  const auto run = [&](const std::string& out, const std::string& rest) {
    return json_of(run_normlab(files.command("cola", out, common + rest)))["results"][0]["dev"]["loss"]
        .get<double>();
  };
  const double raw = run("raw", "--lr 0.02 --epochs 6"),
               slow = run("slow", "--lr 0.02 --epochs 6 --set ema.decay=0.9999"),
               fast = run("fast", "--lr 0.02 --epochs 6 --set ema.decay=1e-9"),
               untrained = run("untrained", "--lr 0 --epochs 1");
  CHECK(raw != Approx(untrained).epsilon(0.05));
  CHECK(fast == Approx(raw).epsilon(1e-4));        // an average of the last weights alone
  CHECK(slow == Approx(untrained).epsilon(0.02));  // one that has hardly moved
  const std::string again = common + "--lr 0 --epochs 1 --head keep";
  const Json kept = json_of(run_normlab(files.command("cola", "again", again, "slow/lr-0.02-seed-1/model")));
  CHECK(kept["results"][0]["dev"]["loss"].get<double>() == Approx(slow).epsilon(1e-6));
  const auto losses = [&](const std::string& out) {
    std::vector<double> values;
    for (const Json& line : read_metrics(files / (out + "/lr-0.02-seed-1/metrics.jsonl")))
      if (line.contains("loss")) values.push_back(line["loss"]);
    return values;
  };
  CHECK(losses("slow") == losses("raw"));
}
