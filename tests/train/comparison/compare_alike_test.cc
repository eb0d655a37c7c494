// What makes a comparison one of equals: one budget, times measured alike, one kind of device, the baseline
// that was asked for; and what a failed run counts for.
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>

#include "compare_support.h"
#include "engine/base/clock.h"

using namespace train;
using Catch::Matchers::Contains;

namespace {

/// A run's metrics as if each update had taken `seconds`.
void write_seconds(const std::string& run, double seconds) {
  std::string lines;
  for (Json line : read_metrics(run + "/metrics.jsonl")) {
    line["seconds"] = line["step"].get<double>() * seconds;
    lines += line.dump() + "\n";
  }
  engine::write_file(run + "/metrics.jsonl", lines);
}

}  // namespace

TEST_CASE("of several budgets a comparison has the one that is spent first, as a training has") {
  CompareJob job;
  const auto updates = [&](const std::string& rest) {
    const ProgramEnd out =
        run_normlab(job.arguments("none", "--dry-run --json --quiet pre_ln post_ln " + rest));
    INFO(out.output);
    REQUIRE(out.code == 0);
    return engine::parse_json(out.output, "stdout")["plan"][0]["updates"].get<int64_t>();
  };
  CHECK(updates("") == 24);
  CHECK(updates("--set budget.tokens=640") == 10);  // of 4 rows of 16
  CHECK(updates("--set budget.tokens=641") == 11);
  CHECK(updates("--set budget.tokens=64000") == 24);
  CHECK(updates("--set budget.epochs=0.1") < 24);
  CHECK(updates("--set budget.epochs=0.1 --set budget.tokens=64") == 1);
}

TEST_CASE("statistics of layers do not count as training time") {
  Job job;
  job.set("budget.steps", 200).set("schedule.steps", 200).set("eval.every", 0).set("checkpoint.every", 0);
  // Few tokens and many parameters: looking at them takes long beside an update.
  job.set("log.layers", 1).set("data.batch", 1).set("model.ffn_width", 4096);
  const double begun = engine::now();
  job.train("watched");
  const double whole = engine::now() - begun;
  CHECK(series(job.run("watched"), "seconds").back() < 0.8 * whole);
}

TEST_CASE("flags: --match time, the baseline's seconds over a placement's own, measured alike", "[medium]") {
  CompareJob job;
  const std::string out = job.folder / "a", timing = out + "/timing/pre_ln",
                    rest = "--seeds 1 --match time --set budget.steps=80 --resume post_ln pre_ln";
  REQUIRE(run_normlab(job.arguments("a", rest)).code == 0);
  const std::string baseline = out + "/runs/post_ln/lr-0.01/seed-1";
  CHECK(engine::read_json(timing + "/config.json")["log"] ==
        engine::read_json(baseline + "/config.json")["log"]);
  // The same again, on a machine whose clock says twice as fast.
  for (const char* name : {"/updates.json", "/compare.json", "/report.html"})
    std::filesystem::remove(out + name);
  std::filesystem::remove_all(out + "/runs/pre_ln");
  write_seconds(baseline, 0.125);
  write_seconds(timing, 0.0625);
  const ProgramEnd end = run_normlab(job.arguments("a", rest));
  INFO(end.output);
  REQUIRE(end.code == 0);
  const Json row = job.result("a")["placements"][1];
  CHECK(row["updates"] == 160);
  CHECK(row["runs"][0]["updates"] == 160);
  // A share of what is equal: the baseline's 10 seconds.
  const Json& reached = row["reaches_baseline"];
  REQUIRE(reached.is_object());
  CHECK(reached["share_of"] == "seconds");
  CHECK(reached["share"].get<double>() == Approx(reached["seconds"].get<double>() / 10));
  CHECK_THAT(end.output, Contains("of its time"));
}

TEST_CASE("a comparison names the device that its runs are on, and does not change it") {
  CompareJob job;
  const std::string rest = "--seeds 1 --set budget.steps=3 pre_ln post_ln";
  REQUIRE(run_normlab(job.arguments("cpu", rest)).code == 0);
  CHECK(job.result("cpu")["environment"]["device"] == "cpu");
  const ProgramEnd mixed = run_normlab(job.arguments("cpu", "--resume --devices 0 " + rest));
  CHECK(mixed.code == 2);
  if (mixed.last_line().find("config.device differs") == std::string::npos) {
    CHECK_THAT(mixed.last_line(), Contains("CUDA"));
    WARN("SKIPPED: no CUDA in this build");
    return;
  }
  const ProgramEnd end = run_normlab(job.arguments("cuda", "--devices 0 " + rest));
  INFO(end.output);
  REQUIRE(end.code == 0);
  CHECK(job.result("cuda")["environment"]["device"] == "cuda");
  const Json plan = job.plan("cuda");
  for (const Json& run : plan["runs"]) CHECK(run["config"]["device"] == "cuda");
  CHECK(run_normlab(job.arguments("cuda", "--resume --devices 1 " + rest)).code == 0);
  CHECK_THAT(run_normlab(job.arguments("cuda", "--resume " + rest)).last_line(),
             Contains("config.device differs"));
}

TEST_CASE("flags: --baseline may be any placement, and one seed has no error bars") {
  CompareJob job;
  const ProgramEnd out =
      run_normlab(job.arguments("a", "--seeds 1 --set budget.steps=3 --baseline post_ln pre_ln post_ln"));
  INFO(out.output);
  REQUIRE(out.code == 0);
  CHECK_THAT(out.output, Contains("one seed: no error bars"));
  const Json result = job.result("a"), &other = result["placements"][0], &baseline = result["placements"][1];
  CHECK(result["baseline"] == "post_ln");
  CHECK(baseline["placement"] == "post_ln");
  CHECK((baseline["difference"].is_null() && baseline["verdict"].is_null()));
  const Json& d = other["difference"];
  REQUIRE(d.is_object());
  CHECK(d["mean"].get<double>() == other["mean"].get<double>() - baseline["mean"].get<double>());
  CHECK(d["values"].size() == 1);
  CHECK(d["df"] == 0);
  for (const char* none : {"sd", "se", "ci95", "t", "p", "p_holm", "sign_flip_p", "welch_p"})
    CHECK(d[none].is_null());
  CHECK((other["sd"].is_null() && other["se"].is_null()));
  CHECK(other["verdict"] == "no difference shown");
}

TEST_CASE("a failed run of the sweep counts as no training in what a wrong rate costs") {
  CompareJob job;
  const ProgramEnd out = run_normlab(
      job.arguments("a", "--seeds 1 --no-stop --lr 0.5,1e6 --set optim.name=sgd --set optim.clip=0 pre_ln"));
  INFO(out.output);
  REQUIRE(out.code == 0);
  const Json result = job.result("a"), &sweep = result["sweep"];
  REQUIRE(sweep.size() == 2);
  CHECK(sweep[1]["status"] == "failed");
  CHECK(sweep[1]["loss"].is_null());
  const double start = series(job.folder / "a/runs/pre_ln/lr-0.5/seed-2", "loss").front();
  const double loss = std::min(start, sweep[0]["loss"].get<double>());
  CHECK(loss < start);
  CHECK(result["lr_sensitivity"]["pre_ln"].get<double>() == Approx((loss + start) / 2 - loss));
  CHECK(result["placements"][0]["lr"] == 0.5);
}
