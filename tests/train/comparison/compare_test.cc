// `normlab compare` on the command line: plan, runs, statistics, the sweep, going on after a stop, and the
// message for each mistake.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "compare_support.h"
#include "run_in_pieces.h"
#include "train/commit.h"
#include "train/comparison/analysis.h"
#include "train/comparison/processes.h"
#include "train/evaluation/statistics.h"

using namespace train;
using Catch::Matchers::Contains;

TEST_CASE("a comparison is paired by seed, and the same for any number of jobs") {
  CompareJob job;
  const ProgramEnd out = run_normlab(job.arguments("a", "--seeds 3 pre_ln normformer post_ln"));
  INFO(out.output);
  REQUIRE(out.code == 0);
  CHECK_THAT(out.output,
             Contains("3 seeds, paired") && Contains("learning rate not tuned") && Contains("baseline"));
  const Json result = job.result("a");
  CHECK(result["baseline"] == "pre_ln");
  CHECK(result["budget"] == 24);
  // The keys that all evaluations have, and each placement in short.
  CHECK(result["model"].is_null());
  CHECK(result["data"] == job.config["data"]["train"]);
  CHECK(result["precision"] == "f32");
  CHECK(result["seconds"].get<double>() > 0);
  REQUIRE(result["results"].size() == 3);
  for (size_t i = 0; i < 3; ++i)
    for (const auto& [key, value] : result["results"][i].items())
      CHECK(value == result["placements"][i][key]);
  CHECK(result["tuned"] == false);
  const std::string commit = built_commit();
  CHECK(result["environment"]["commit"] == (commit.empty() ? Json() : Json(commit)));
  REQUIRE(result["placements"].size() == 3);
  std::vector<double> losses[3];
  for (size_t i = 0; i < 3; ++i)
    for (const Json& run : result["placements"][i]["runs"]) {
      CHECK(run["status"] == "done");
      CHECK(run["updates"] == 24);
      const auto valid = series(run["path"], "valid_loss");
      CHECK(run["loss"] == valid.back());
      losses[i].push_back(valid.back());
    }
  const PairedDifference d = paired_difference(losses[1], losses[0]);
  const Json& difference = result["placements"][1]["difference"];
  CHECK(difference["values"] == d.values);
  CHECK(difference["p"].get<double>() == *d.p);
  CHECK(difference["p_holm"].get<double>() >= *d.p);
  CHECK(difference["sign_flip_p"].get<double>() == *d.sign_flip_p);
  CHECK(difference["welch_p"].get<double>() == *d.welch_p);
  CHECK(difference["ci95"] == Json({*d.ci_low, *d.ci_high}));
  CHECK(result["placements"][0]["difference"].is_null());
  CHECK(result["placements"][0]["lr"] == 0.01);
  const Json plan = engine::read_json(job.folder / "a/plan.json");
  CHECK(plan["runs"].size() == 9);
  CHECK(plan["runs"][0]["config"]["seed"] == 1);
  CHECK(plan["runs"][0]["hash"].is_string());
  // The page has gradients by layer, which the config does not ask for.
  const std::string folder = result["placements"][0]["runs"][0]["path"];
  const auto lines = read_metrics(folder + "/metrics.jsonl");
  CHECK(std::any_of(lines.begin(), lines.end(), [](const Json& line) { return line.contains("layers"); }));
  CHECK_THAT(engine::read_file(job.folder / "a/report.html"),
             Contains("<h2>Comparison</h2>") && Contains("seeds, paired"));

  REQUIRE(run_normlab(job.arguments("b", "--seeds 3 --jobs 3 pre_ln normformer post_ln")).code == 0);
  CHECK(without_times(job.result("b")) == without_times(result));
  // Finished: nothing is trained again, and another question is refused.
  const ProgramEnd again = run_normlab(job.arguments("a", "--resume --seeds 3 pre_ln normformer post_ln"));
  CHECK(again.code == 0);
  CHECK(again.output.find("training") == std::string::npos);
  CHECK_THAT(
      run_normlab(job.arguments("a", "--resume --seeds 3 --set optim.lr=0.02 pre_ln normformer post_ln"))
          .output,
      Contains("config.optim.lr differs"));
  CHECK_THAT(run_normlab(job.arguments("a", "--seeds 3 pre_ln normformer post_ln")).output,
             Contains("--resume"));
}

TEST_CASE("a sweep picks each placement's rate on its own seed and stops what is hopeless", "[medium]") {
  CompareJob job;
  const ProgramEnd out = run_normlab(
      job.arguments("a", "--seeds 2 --jobs 2 --lr 1e-7,0.01,0.02 --stop-margin 0.05 pre_ln normformer"));
  INFO(out.output);
  REQUIRE(out.code == 0);
  const Json result = job.result("a");
  CHECK(result["tuned"] == true);
  REQUIRE(result["sweep"].size() == 6);
  for (const Json& run : result["sweep"]) {
    CHECK(run["seed"] == 3);
    const bool stopped = run["status"] == "stopped";
    if (run["lr"] == 1e-7 && run["placement"] == "pre_ln") CHECK(stopped);
    CHECK(run["loss"].is_null() == stopped);
    CHECK(run["stopped_at"].is_null() == !stopped);
    if (stopped) CHECK(run["stopped_at"].get<int64_t>() < 24);
  }
  for (const Json& row : result["placements"]) {
    double best = INFINITY, lr = 0;
    for (const Json& run : result["sweep"])
      if (run["placement"] == row["placement"] && run["loss"].is_number() && run["loss"].get<double>() < best)
        best = run["loss"], lr = run["lr"];
    CHECK(row["lr"] == lr);
    CHECK(result["edge"][row["placement"].get<std::string>()] == (lr == 0.02));
    CHECK(result["lr_sensitivity"][row["placement"].get<std::string>()].get<double>() > 0);
  }
  // The plan says in the end what was trained.
  for (const Json& run : engine::read_json(job.folder / "a/plan.json")["runs"]) {
    CHECK(run["lr"].is_number());
    CHECK(engine::file_exists(job.folder / "a/" + run["folder"].get<std::string>() + "/outcome.json"));
    CHECK(run["config"]["optim"]["lr"] == run["lr"]);
  }
}

TEST_CASE("a sweep over several seeds stops rates, not seeds of them, and one is left to choose",
          "[medium]") {
  CompareJob job;
  const ProgramEnd out = run_normlab(
      job.arguments("a", "--seeds 1 --jobs 2 --lr 0.005,0.01,0.02 --lr-seeds 7,8,9 --stop-margin 0 pre_ln"));
  INFO(out.output);
  REQUIRE(out.code == 0);
  const Json result = job.result("a");
  std::map<double, std::vector<std::string>> statuses;
  for (const Json& run : result["sweep"]) statuses[run["lr"]].push_back(run["status"]);
  size_t done = 0;
  for (const auto& [lr, of_rate] : statuses) {
    REQUIRE(of_rate.size() == 3);
    CHECK((of_rate[1] == of_rate[0] && of_rate[2] == of_rate[0]));
    done += of_rate[0] == "done";
  }
  CHECK(done >= 1);
  CHECK(statuses[result["placements"][0]["lr"]][0] == "done");
}

TEST_CASE("the cost of a wrong rate is read from means over the sweep's seeds", "[medium]") {
  CompareJob job;
  REQUIRE(run_normlab(job.arguments("a", "--seeds 1 --no-stop --lr 0.001,0.01 --lr-seeds 2,3 pre_ln post_ln"))
              .code == 0);
  const Json result = job.result("a");
  for (const char* placement : {"pre_ln", "post_ln"}) {
    std::map<double, double> means;
    for (const Json& run : result["sweep"])
      if (run["placement"] == placement) means[run["lr"].get<double>()] += run["loss"].get<double>() / 2;
    CHECK(result["lr_sensitivity"][placement].get<double>() ==
          Approx(std::abs(means[0.001] - means[0.01]) / 2));
  }
}

TEST_CASE("flags: --extend goes on by factors of two until the best rate lies inside", "[medium]") {
  CompareJob job;
  const ProgramEnd out = run_normlab(
      job.arguments("a", "--seeds 1 --jobs 2 --lr 0.0005,0.001 --extend --no-stop pre_ln normformer"));
  INFO(out.output);
  REQUIRE(out.code == 0);
  const Json result = job.result("a");
  for (const Json& row : result["placements"]) {
    std::vector<double> rates;
    double best = INFINITY, lr = 0;
    for (const Json& run : result["sweep"])
      if (run["placement"] == row["placement"]) {
        rates.push_back(run["lr"]);
        if (run["loss"].get<double>() < best) best = run["loss"], lr = run["lr"];
      }
    std::sort(rates.begin(), rates.end());
    REQUIRE(rates.size() > 2);
    for (size_t i = 1; i < rates.size(); ++i) CHECK(rates[i] == Approx(2 * rates[i - 1]));
    CHECK(row["lr"] == lr);
    CHECK(lr > rates.front());
    CHECK(lr < rates.back());
    CHECK(result["edge"][row["placement"].get<std::string>()] == false);
  }
  // Every run that was trained is one of the plan.
  std::vector<std::string> planned;
  const Json plan = job.plan("a");
  for (const Json& run : plan["runs"])
    if (run["purpose"] == "sweep") {
      planned.push_back(run["folder"]);
      CHECK(engine::file_exists(job.folder / "a/" + planned.back() + "/outcome.json"));
    }
  CHECK(planned.size() == result["sweep"].size());
}

TEST_CASE("flags: --same-init gives all placements one rule, and the table says which") {
  CompareJob job;
  const auto inits = [&](const std::string& name, const std::string& rest) {
    const ProgramEnd out =
        run_normlab(job.arguments(name, "--seeds 1 --set budget.steps=3 " + rest + " pre_ln hybridnorm"));
    INFO(out.output);
    REQUIRE(out.code == 0);
    std::vector<std::string> found;
    const Json result = job.result(name);
    for (const Json& row : result["placements"]) {
      found.push_back(row["init"]);
      CHECK(engine::read_json(row["runs"][0]["path"].get<std::string>() + "/config.json")["init"] ==
            row["init"]);
    }
    return found;
  };
  CHECK(inits("own", "") == std::vector<std::string>{"gpt3", "megatron"});
  CHECK(inits("same", "--same-init normal") == std::vector<std::string>{"normal", "normal"});
}

TEST_CASE(
    "flags: --match time gives each placement the updates that fit the baseline's time, and decays within "
    "them",
    "[medium]") {
  CompareJob job;
  const ProgramEnd out =
      run_normlab(job.arguments("a", "--seeds 2 --match time --set budget.steps=80 pre_ln normformer"));
  INFO(out.output);
  REQUIRE(out.code == 0);
  const Json result = job.result("a");
  CHECK(result["match"] == "time");
  CHECK(result["placements"][0]["updates"] == 80);
  const int64_t updates = result["placements"][1]["updates"].get<int64_t>();
  CHECK(updates >= 1);
  CHECK(engine::read_json(job.folder / "a/updates.json")["normformer"] == updates);
  for (const Json& run : result["placements"][1]["runs"]) {
    CHECK(run["updates"] == updates);
    const Json config = engine::read_json(run["path"].get<std::string>() + "/config.json");
    CHECK(config["budget"]["steps"] == updates);
    CHECK(config["schedule"]["steps"] == updates);
  }
  // Going on keeps the count that was decided.
  REQUIRE(run_normlab(
              job.arguments("a", "--seeds 2 --match time --set budget.steps=80 --resume pre_ln normformer"))
              .code == 0);
  CHECK(job.result("a")["placements"][1]["updates"] == updates);
}

TEST_CASE("flags: --match time takes a budget in seconds, which is measured for the baseline", "[medium]") {
  CompareJob job;
  const std::string rest = "--seeds 1 --match time --set budget.steps=0 --set budget.seconds=0.5 pre_ln normformer";
  REQUIRE(run_normlab(job.arguments("a", rest)).code == 0);
  const Json result = job.result("a"), known = engine::read_json(job.folder / "a/updates.json");
  const int64_t updates = result["budget"].get<int64_t>();
  CHECK(updates >= 1);
  CHECK(known["pre_ln"] == updates);
  for (const Json& row : result["placements"]) {
    CHECK(row["updates"] == known[row["placement"].get<std::string>()]);
    CHECK(row["runs"][0]["updates"] == row["updates"]);
    const Json config = engine::read_json(row["runs"][0]["path"].get<std::string>() + "/config.json");
    CHECK(config["schedule"]["steps"] == row["updates"]);
    CHECK(config["budget"]["seconds"] == 0);
  }
  for (const Json& run : job.plan("a")["runs"]) CHECK(run["updates"].is_number());
  // Going on keeps what was measured; updates beside seconds are a limit.
  engine::write_file(job.folder / "a/updates.json",
                     R"({"pre_ln": )" + std::to_string(updates) + R"(, "normformer": 3})");
  std::filesystem::remove_all(job.folder / "a/runs/normformer");
  REQUIRE(run_normlab(job.arguments("a", rest + " --resume")).code == 0);
  CHECK(job.result("a")["placements"][1]["updates"] == 3);
  REQUIRE(run_normlab(job.arguments("b",
                                    "--seeds 1 --match time --set budget.steps=6 --set budget.seconds=500 "
                                    "--lr 0.01,0.02 pre_ln normformer"))
              .code == 0);
  CHECK(job.result("b")["budget"] == 6);
  // Times are measured at a rate of the grid: the config's need not train.
  const std::string breaks = " --set optim.name=sgd --set optim.clip=0 --set optim.lr=1e14";
  const ProgramEnd end = run_normlab(job.arguments(
      "c",
      "--seeds 1 --match time --set budget.steps=0 --set budget.seconds=0.1 --lr 0.02,0.01 pre_ln" + breaks));
  INFO(end.output);
  CHECK(end.code == 0);
}

TEST_CASE("flags: --match time goes on without a placement that cannot be trained", "[medium]") {
  CompareJob job;
  const std::string out = job.folder / "a",
                    rest = "--seeds 1 --match time --set budget.steps=12 --resume pre_ln post_ln";
  REQUIRE(run_normlab(job.arguments("a", rest)).code == 0);
  for (const char* name : {"/updates.json", "/compare.json", "/report.html"})
    std::filesystem::remove(out + name);
  std::filesystem::remove_all(out + "/timing");
  std::filesystem::remove_all(out + "/runs/post_ln");
  engine::make_directories(out + "/timing/post_ln");
  engine::write_file(out + "/timing/post_ln/config.json", "{}");  // so that the run is one that goes on
  engine::write_file(out + "/timing/post_ln/checkpoints", "no folder");
  const ProgramEnd end = run_normlab(job.arguments("a", rest));
  INFO(end.output);
  CHECK(end.code == 2);  // refused, not failed: nothing is decided
  CHECK_THAT(end.last_line(), Contains("timing/post_ln: "));
  CHECK_FALSE(engine::file_exists(out + "/runs/post_ln"));
  // Without a baseline that came to its end there is no time.
  engine::write_file(out + "/runs/pre_ln/lr-0.01/seed-1/outcome.json", R"({"status":"failed","update":4})");
  CHECK_THAT(run_normlab(job.arguments("a", rest)).last_line(), Contains("no time to match"));
  // At a rate that nothing bears, with a baseline from elsewhere that came to its end.
  const std::string breaks = rest + " --set optim.name=sgd --set optim.clip=0 --set optim.lr=1e14";
  CHECK_THAT(run_normlab(job.arguments("b", breaks)).last_line(), Contains("no time to match"));
  const std::string done = job.folder / "b/runs/pre_ln/lr-1e+14/seed-1";
  std::filesystem::copy_file(out + "/runs/pre_ln/lr-0.01/seed-1/metrics.jsonl", done + "/metrics.jsonl",
                             std::filesystem::copy_options::overwrite_existing);
  engine::write_file(done + "/outcome.json", R"({"status":"done","update":12})");
  const ProgramEnd failed = run_normlab(job.arguments("b", breaks));
  INFO(failed.output);
  REQUIRE(failed.code == 0);
  CHECK(job.result("b")["placements"][0]["failed"] == 0);
  CHECK(job.result("b")["placements"][1]["failed"] == 1);
}

TEST_CASE("a run that is refused ends the comparison with the reason and decides nothing") {
  CompareJob job;
  const auto end_of = [&](const std::string& rest) {
    return run_normlab(job.arguments("a", "--seeds 1 --resume pre_ln post_ln " + rest));
  };
  CHECK(end_of("--dry-run --set data.train=/nowhere/x").code == 2);
  CHECK_THAT(end_of("--set data.train=/nowhere/x").last_line(), Contains("/nowhere/x"));
  CHECK_THAT(end_of("--same-init nromal").last_line(), Contains("normal"));
  CHECK_THAT(end_of("--set model.vocab_size=3").last_line(), Contains("vocab_size"));
  CHECK_FALSE(engine::file_exists(job.folder / "a"));
  // One that only the run itself meets.
  const std::string seed = job.folder / "a/runs/pre_ln/lr-0.01/seed-1";
  engine::make_directories(job.folder / "a/runs/pre_ln/lr-0.01");
  engine::write_file(seed, "no folder");
  CHECK(end_of("").code == 2);
  CHECK_FALSE(engine::file_exists(job.folder / "a/compare.json"));
  std::filesystem::remove_all(job.folder / "a");
  REQUIRE(end_of("").code == 0);
  for (const auto& [name, text, words] : std::vector<std::array<std::string, 3>>{
           {"outcome.json", "[]", "expected an object"},
           {"outcome.json", R"({"status":"stopped","update":"x"})", "update"},
           {"metrics.jsonl", "{\"step\":10,\"seconds\":\"x\"}\n", "seconds"},
           {"metrics.jsonl", "{\"step\":4,\"valid_loss\":1}\n", "the validation of update 24"}}) {
    const std::string before = engine::read_file(seed + "/" + name);
    engine::write_file(seed + "/" + name, text);
    const ProgramEnd damaged = end_of("");
    CHECK(damaged.code == 2);
    CHECK_THAT(damaged.last_line(), Contains(name) && Contains(words));
    engine::write_file(seed + "/" + name, before);
  }
  const std::string plan = job.folder / "a/plan.json";
  engine::write_file(plan, R"({"request":5})");
  CHECK_THAT(end_of("--set optim.lr=0.02").last_line(), Contains("is no plan of a comparison"));
}

TEST_CASE("a comparison does not go on with other data than it began with", "[medium]") {
  CompareJob job;
  const std::string rest = "--seeds 1 --resume pre_ln post_ln";
  REQUIRE(run_normlab(job.arguments("a", rest)).code == 0);
  for (const char* split : {"train", "valid"}) {
    const std::string shard = job.folder / (std::string(split) + ".bin"), before = engine::read_file(shard);
    write_shard(shard, learnable_tokens(600, 16, 9), 16);
    CHECK_THAT(run_normlab(job.arguments("a", rest)).last_line(),
               Contains("holds another comparison: contents." + std::string(split) + " differs"));
    engine::write_file(shard, before);
  }
  REQUIRE(run_normlab(job.arguments("a", rest + " --set seed=7")).code ==
          0);  // a comparison has seeds of its own
}

TEST_CASE("a folder of something else is not taken for a comparison") {
  CompareJob job;
  for (const char* part : {"config.json", "report.html", "compare.json"}) {
    const std::string folder = job.folder / "other", file = folder + "/" + part;
    std::filesystem::remove_all(folder);
    engine::make_directories(folder);
    engine::write_file(file, "kept");
    const ProgramEnd end = run_normlab(job.arguments("other", "--seeds 1 pre_ln post_ln"));
    CHECK(end.code == 2);
    CHECK_THAT(end.last_line(), Contains(std::string("something else stands there (") + part));
    CHECK(engine::read_file(file) == "kept");
  }
}

// Not a test: what the next one starts as its children.
TEST_CASE("a child that says where it runs", "[.]") {
  const char* device = std::getenv("CUDA_VISIBLE_DEVICES");
  std::printf("device=%s\n", device ? device : "any");
  ::usleep(200'000);
}

TEST_CASE("children run in slots, one at a time in each") {
  TemporaryFolder folder;
  std::vector<ChildCommand> commands;
  for (int i = 0; i < 4; ++i)
    commands.push_back({{"a child that says where it runs"}, folder / ("log" + std::to_string(i))});
  for (const ChildEnd end : run_children(commands, {"CUDA_VISIBLE_DEVICES=3", "CUDA_VISIBLE_DEVICES=5"}))
    CHECK(end == ChildEnd::done);
  CHECK_THAT(engine::read_file(folder / "log0"), Contains("device=3"));
  CHECK_THAT(engine::read_file(folder / "log1"), Contains("device=5"));
  int third = 0;
  for (int i = 0; i < 4; ++i)
    third += engine::read_file(folder / ("log" + std::to_string(i))).find("device=3") != std::string::npos;
  CHECK((third >= 1 && third <= 3));
}

TEST_CASE("a comparison that is stopped or killed goes on to the same result", "[medium]") {
  CompareJob job;
  REQUIRE(run_normlab(job.arguments("whole", "--seeds 2 pre_ln post_ln")).code == 0);
  const int stops = run_in_pieces(40, 60, 40, [&](int) {
    return BINARY_DIR "/normlab compare --config " + job.folder / "config.json" + " --out " +
           job.folder / "parts" + " --seeds 2 --resume pre_ln post_ln";
  });
  CHECK(stops >= 2);
  REQUIRE(run_normlab(job.arguments("parts", "--seeds 2 --resume pre_ln post_ln")).code == 0);
  CHECK(without_times(job.result("parts")) == without_times(job.result("whole")));
}

TEST_CASE("a run that fails is listed, and no mean is taken over the others") {
  CompareJob job;
  const ProgramEnd out = run_normlab(job.arguments(
      "a", "--seeds 1 --set optim.clip=0 --set optim.name=sgd --set optim.lr=1e14 pre_ln post_ln"));
  INFO(out.output);
  REQUIRE(out.code == 0);
  const Json result = job.result("a");
  for (const Json& row : result["placements"]) {
    CHECK(row["failed"] == 1);
    CHECK(row["mean"].is_null());
    CHECK(row["runs"][0]["status"] == "failed");
    CHECK(row["runs"][0]["loss"].is_null());
  }
}

TEST_CASE("verdicts are what statistics allow, curves are read between their points") {
  CHECK(verdict_of(-0.1, 0.01, 5) == "better");
  CHECK(verdict_of(0.1, 0.01, 5) == "worse");
  CHECK(verdict_of(-0.1, 0.05, 5) == "no difference shown");
  CHECK(verdict_of(-0.1, 0.01, 2) == "no difference shown");
  CHECK(verdict_of(-0.1, {}, 5) == "no difference shown");
  CHECK(verdict_of(-0.1, NAN, 5) == "no difference shown");
  CHECK(*first_reach({{10, 3.0}, {20, 2.0}, {30, 1.0}}, 2.5) == 15);
  CHECK(*first_reach({{10, 3.0}, {20, 2.0}}, 4) == 10);
  CHECK(!first_reach({{10, 3.0}}, 2));
}

TEST_CASE("each mistake of compare has its line, and leaves nothing behind") {
  CompareJob job;
  const auto refused = [&](const std::string& rest, const std::string& message) {
    const ProgramEnd out = run_normlab(job.arguments("none", rest));
    INFO(rest << "\n" << out.output);
    CHECK(out.code == 2);
    CHECK(std::count(out.output.begin(), out.output.end(), '\n') == 1);
    CHECK_THAT(out.output, Contains(message));
    CHECK(!std::filesystem::exists(job.folder / "none"));
  };
  refused("pre_ln", "needs two placements");
  refused("pre_ln pre_ln", "is the same placement as");
  refused("pre_ln 'attn{in=ln} ffn{in=ln} final=ln'", "is the same placement as");
  refused("pre_ln post_lm", "nearest");
  refused("pre_ln post_ln --seeds 0", "--seeds");
  refused("pre_ln post_ln --baseline normformer", "is none of the placements");
  refused("pre_ln post_ln --set eval.patience=2", "eval.patience");
  refused("pre_ln post_ln --set data.valid=", "data.valid");
  refused("pre_ln post_ln --set budget.seconds=5", "--match time takes seconds");
  refused("pre_ln post_ln --match time --jobs 2", "--jobs 1");
  refused("pre_ln post_ln --lr 0.1,0.1", "is there twice");
  refused("pre_ln post_ln --lr 0.1 --lr-seeds 1", "is a seed of the claim");
  refused("pre_ln post_ln --lr 0.01,0.0100000001", "two rates have the folder");
  refused("pre_ln post_ln --extend", "goes with --lr");
  refused("pre_ln post_ln --devices 0,1 --jobs 2", "leave --jobs out");
  refused("pre_ln post_ln --devices 0,1 --match time", "single device");
  refused("pre_ln post_ln --devices 0,0", "is there twice");
  const ProgramEnd dry = run_normlab(job.arguments("none", "--seeds 4 pre_ln post_ln --dry-run"));
  CHECK(dry.code == 0);
  CHECK_THAT(dry.output, Contains("8 runs, about") && Contains("memory:"));
  const Json plan = engine::parse_json(
      run_normlab(job.arguments("none", "--seeds 4 pre_ln post_ln --dry-run --json --quiet")).output,
      "stdout");
  CHECK(plan["runs"] == 8);
  CHECK(plan["results"].empty());
  const ProgramEnd timed = run_normlab(job.arguments(
      "none", "--set budget.steps=0 --set budget.seconds=3600 --match time pre_ln post_ln --dry-run"));
  CHECK_THAT(timed.output, Contains("pre_ln: 5 runs, about 1:00:00 each"));
  CHECK(plan["plan"][0]["memory"].get<double>() > 0);
  refused("pre_ln post_ln --seeds 1000 --jobs 1024 --dry-run --set data.batch=4096",
          "runs of pre_ln at a time need");
  CHECK(!std::filesystem::exists(job.folder / "none"));
}
