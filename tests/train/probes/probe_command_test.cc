// `normlab probe` on the command line: the static forms on a run's checkpoints, the forms that train, and the
// message for each mistake.
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "../training_support.h"
#include "engine/base/file.h"
#include "run_program.h"

using namespace train;
using Catch::Matchers::Contains;

namespace {

struct ProbeJob : Job {
  /// The job's config as a file, with changes by path.
  std::string config_file(const Json& changes = Json::object()) {
    Json changed = config;
    changed.merge_patch(changes);
    engine::write_file(folder / "config.json", changed.dump());
    return folder / "config.json";
  }
};

Json json_of(const ProgramEnd& out) {
  INFO(out.output);
  REQUIRE(out.code == 0);
  return engine::parse_json(out.output.substr(out.output.find("{\n")), "stdout");
}

}  // namespace

TEST_CASE("metrics have gradients from before clipping") {
  ProbeJob job;
  for (const char* clip : {"0", "1e-3"})
    REQUIRE(run_normlab("train --config " + job.config_file() +
                        " --set log.layers=1 --set log.every=1 --set budget.steps=1" +
                        " --set optim.clip=" + clip + " --out " + (job.folder / ("clip" + std::string(clip))))
                .code == 0);
  const auto first = [&](const std::string& run) {
    return read_metrics(job.folder / (run + "/metrics.jsonl"))[0];
  };
  const Json free = first("clip0"), clipped = first("clip1e-3");
  CHECK(free["grad_norm"].get<double>() > 1e-3);
  for (size_t l = 0; l < 2; ++l)
    for (const char* key : {"w2_grad", "grad_norm"})
      CHECK(clipped["layers"][l][key] == free["layers"][l][key]);
}

TEST_CASE("probe gradients over training is what metrics record, by update, window and baseline") {
  ProbeJob job;
  const std::string config = job.config_file();
  REQUIRE(run_normlab("train --config " + config +
                      " --set log.layers=1 --set seed=2 --set budget.steps=6 --out " + (job.folder / "run"))
              .code == 0);
  const Json out =
      json_of(run_normlab("probe gradients --json --config " + config +
                          " --steps 6 --seeds 2 --window 3..6 --at 1,5 --relative-to pre_ln normformer"));
  CHECK(out["command"] == "probe gradients");
  REQUIRE(out["results"].size() == 4);
  CHECK(out["results"][0]["placement"] == "pre_ln");
  CHECK(!out["results"][0].contains("relative"));
  const Json& result = out["results"][3];
  CHECK(result["placement"] == "normformer");
  CHECK(result["seed"] == 2);
  CHECK(result["layers"] == 2);
  const auto metrics = read_metrics(job.folder / "run/metrics.jsonl");
  double mean = 0;
  size_t update = 0;
  for (const Json& line : metrics) {
    if (!line.contains("layers")) continue;
    for (size_t l = 0; l < 2; ++l) {
      CHECK(result["w2_grad"][update][l] == line["layers"][l]["w2_grad"]);
      CHECK(result["grad_norm"][update][l] == line["layers"][l]["grad_norm"]);
    }
    if (++update >= 3) mean += line["layers"][0]["w2_grad"].get<double>() / 4;
  }
  CHECK(update == 6);
  CHECK(result["window"]["w2_grad"][0].get<double>() == Approx(mean).epsilon(1e-12));
  CHECK(result["at"][1]["update"] == 5);
  CHECK(result["at"][1]["grad_norm"] == result["grad_norm"][4]);
  REQUIRE(result["parameters"].size() == 6);
  CHECK(result["parameters"][4] == result["at"][1]["parameters"]);
  CHECK(result["parameters"][0][1]["ffn.down.weight"].get<double>() > 0);
  CHECK(result["relative"]["baseline"] == "pre_ln");
  CHECK(result["relative"]["normalise"] == "loss");
  CHECK(result["relative"]["ratios"][0]["ffn.mid_norm.weight"].is_null());
  CHECK(result["relative"]["ratios"][0]["ffn.down.weight"].get<double>() > 0);
}

TEST_CASE("static probes read a run, and gains every checkpoint of it") {
  ProbeJob job;
  const std::string run = job.folder / "run";
  REQUIRE(run_normlab("train --config " + job.config_file() +
                      " --set budget.steps=6 --set checkpoint.every=2 --set checkpoint.keep=9 --out " + run)
              .code == 0);
  const Json gains = json_of(run_normlab("probe gains --json --all-checkpoints --model " + run));
  REQUIRE(gains["results"].size() == 3);
  CHECK(gains["results"][2]["means"]["attn.head_gain"].size() == 2);
  CHECK(gains["results"][2]["depth"] == Json({0.0, 0.5}));
  const std::string rows = " --model " + run + " --data " + (job.folder / "train.bin");
  const Json five = json_of(run_normlab("probe gradients --json --rows 5 --batch 2" + rows));
  const Json whole = json_of(run_normlab("probe gradients --json --rows 5 --batch 5" + rows));
  CHECK(five["placement"] == whole["results"][0]["placement"]);
  for (size_t l = 0; l < 2; ++l)
    CHECK(five["results"][0]["w2_grad"][l].get<double>() ==
          Approx(whole["results"][0]["w2_grad"][l].get<double>()).epsilon(1e-5));
  const Json attention = json_of(run_normlab("probe attention --json --rows 4" + rows));
  for (const Json& relative : attention["results"][0]["relative"])
    CHECK((relative.get<double>() > 0 && relative.get<double>() <= 1));
  CHECK_THAT(run_normlab("probe attention --rows 4" + rows).output, Contains("logit_max"));
  for (const std::string& probe :
       {"attention --rows 4" + rows, "gradients --rows 4" + rows, "gains --all-checkpoints --model " + run}) {
    const std::string page = job.folder / "page.html";
    std::filesystem::remove(page);
    REQUIRE(run_normlab("probe " + probe + " --out " + page).code == 0);
    CHECK_THAT(engine::read_file(page),
               Contains("id=\"cards-data\"") && Contains("\"title\"") && Contains("</html>"));
  }
}

TEST_CASE("a page has the updates of --at, Figure 3's layers, and Figure 6 over depth") {
  ProbeJob job;
  const std::string page = job.folder / "page.html",
                    config = job.config_file({{"model", {{"layers", 4}, {"norms", "normformer+r"}}}});
  const auto cards = [&] {
    const std::string text = engine::read_file(page), open = "id=\"cards-data\">";
    const size_t begin = text.find(open) + open.size();
    return engine::parse_json(text.substr(begin, text.find("</script>", begin) - begin), "page");
  };
  const auto find = [&](const std::string& title, const std::string& unit) {
    for (const Json& card : cards())
      if (card["title"] == title && card["unit"] == unit) return card;
    return Json();
  };
  const Json out = json_of(
      run_normlab("probe gradients --json --steps 3 --at 1,3 pre_ln --config " + config + " --out " + page));
  const Json at = find("Gradient norm", "by layer at update 3");
  REQUIRE(at.is_object());
  CHECK(at["series"][0]["points"][1] == Json({1, out["results"][0]["grad_norm"][2][1]}));
  CHECK(find("Gradient of W₂", "by layer at update 1").is_object());
  Json layers;
  const Json curve = find("Gradient of W₂ over updates", "pre_ln seed 1");
  for (const Json& series : curve["series"]) layers.push_back(series["label"]);
  CHECK(layers == Json({"layer 0", "layer 1", "layer 2", "layer 3"}));

  const std::string run = job.folder / "run";
  REQUIRE(run_normlab("train --set budget.steps=1 --config " + config + " --out " + run).code == 0);
  REQUIRE(run_normlab("probe gains --model " + run + " --out " + page).code == 0);
  const Json scales = find("ffn.res_scale", "mean by layer / layers");
  REQUIRE(scales.is_object());
  CHECK(scales["x"] == "depth");
  for (size_t l = 0; l < 4; ++l) CHECK(scales["series"][0]["points"][l][0] == double(l) / 4);
}

TEST_CASE(
    "a mixture of experts: gradients of a saved model and of training are those of the mean loss alone") {
  ProbeJob job;
  // Training's rows are shifted by one: the first token is predicted from a separator.
  std::vector<int32_t> ids = learnable_tokens(6000, 16, 1);
  ids.insert(ids.begin(), 0);
  write_shard(job.folder / "shifted.bin", ids, 16);
  for (const char* precision : {"f32", "f16"}) {
    // A rate of 0: the saved model is the one that the first update sees.
    const std::string config =
        job.config_file({{"model", {{"norms", "pre_ln"}, {"experts", 4}, {"experts_per_token", 2}}},
                         {"data", {{"order", "file"}, {"batch", 4}}},
                         {"optim", {{"lr", 0}}},
                         {"precision", precision}});
    const std::string run = job.folder / (std::string("run-") + precision);
    const ProgramEnd end =
        run_normlab("train --set log.layers=1 --set budget.steps=1 --config " + config + " --out " + run);
    INFO(end.output);
    REQUIRE(end.code == 0);
    const Json saved =
        json_of(run_normlab("probe gradients --json --rows 4 --model " + run + " --data " +
                            job.folder / "shifted.bin" + " --precision " + precision))["results"][0];
    const Json trained =
        json_of(run_normlab("probe gradients --json --steps 1 pre_ln --config " + config))["results"][0];
    const double limit = precision == std::string("f32") ? 1e-5 : 1e-2;
    CHECK(trained["loss"][0].get<double>() == Approx(saved["loss"].get<double>()).epsilon(limit));
    CHECK(trained["norm"][0].get<double>() == Approx(saved["norm"].get<double>()).epsilon(limit));
    for (size_t l = 0; l < 2; ++l) {
      INFO(precision << ", layer " << l);
      CHECK(trained["w2_grad"][0][l].get<double>() ==
            Approx(saved["w2_grad"][l].get<double>()).epsilon(limit));
      for (const auto& [name, norm] : saved["parameters"][l].items()) {
        INFO(name);
        CHECK(trained["parameters"][0][l][name].get<double>() == Approx(norm.get<double>()).epsilon(limit));
      }
    }
    if (precision == std::string("f16")) continue;
    // What an update takes has the routers' own losses in it.
    const Json line = read_metrics(run + "/metrics.jsonl")[0];
    CHECK(line["grad_norm"].get<double>() != Approx(saved["norm"].get<double>()).epsilon(limit));
  }
}

TEST_CASE("a probe does not change the training that it looks at") {
  ProbeJob job;
  for (const Json& model :
       {Json({{"norms", "pre_ln"}}), Json({{"norms", "pre_ln"}, {"experts", 4}, {"experts_per_token", 2}})}) {
    const std::string config = job.config_file({{"model", model},
                                                {"precision", "f16"},
                                                {"dropout", {{"residual", 0.1}}},
                                                {"loss_scale", {{"init", 1 << 20}, {"window", 3}}}});
    const std::string run = job.folder / ("run" + std::to_string(model.size()));
    const ProgramEnd end = run_normlab("train --set budget.steps=12 --config " + config + " --out " + run);
    INFO(end.output);
    REQUIRE(end.code == 0);
    const Json probed =
        json_of(run_normlab("probe gradients --json --steps 12 pre_ln --config " + config))["results"][0];
    CHECK(probed["loss"].get<std::vector<double>>() == series(run, "loss"));
  }
}

TEST_CASE("flags: --trace has every update as a line of JSON") {
  ProbeJob job;
  const std::string trace = job.folder / "trace.jsonl", config = job.config_file();
  const Json out = json_of(run_normlab("probe gradients --json --steps 3 --seeds 2 pre_ln post_ln --trace " +
                                       trace + " --config " + config));
  CHECK(out["model"].is_null());
  CHECK(out["data"] == job.folder / "train.bin");
  CHECK(out["config"] == config);
  CHECK(out["results"][0]["every"] == 1);
  std::vector<Json> lines;
  std::istringstream text(engine::read_file(trace));
  for (std::string line; std::getline(text, line);) lines.push_back(engine::parse_json(line, "trace"));
  REQUIRE(lines.size() == 12);
  const Json& last = lines[11];
  CHECK(last["placement"] == "post_ln");
  CHECK(last["seed"] == 2);
  CHECK(last["update"] == 3);
  for (const char* key : {"loss", "norm", "w2_grad", "grad_norm", "parameters"})
    CHECK(last[key] == out["results"][3][key][2]);
}

TEST_CASE("flags: --threads of a probe that trains is the config's key") {
  ProbeJob job;
  const std::string config = job.config_file({{"threads", 7}});
  for (const char* probe : {"gradients --steps 2", "stability --steps 2 --seeds 1"}) {
    const auto result = [&](const std::string& rest) {
      return json_of(run_normlab(std::string("probe ") + probe + " --json pre_ln --config " + config + rest));
    };
    CHECK(result(" --threads 1")["results"] == result(" --threads 2")["results"]);
    CHECK_THAT(
        run_normlab(std::string("probe ") + probe + " pre_ln --threads 5000 --config " + config).output,
        Contains("--threads: 5000 is outside [0, 1024]"));
  }
}

TEST_CASE("flags: --steps takes the place of a budget that would end training earlier") {
  ProbeJob job;
  const Json out = json_of(run_normlab("probe gradients --json --steps 4 --at 4 pre_ln --config " +
                                       job.config_file({{"budget", {{"tokens", 1}}}})));
  CHECK(out["results"][0]["updates"].size() == 4);
}

TEST_CASE("what pads the last row of shards is not looked at", "[medium]") {
  ProbeJob job;
  job.train("run");
  const std::vector<int32_t> ids = learnable_tokens(16 + 6, 16, 3);
  write_shard(job.folder / "few.bin", ids, 16);
  std::vector<int32_t> second(ids.begin() + 16, ids.end() - 1),
      mask(second.size(), 1);  // none follows the last
  second.resize(16, 0), mask.resize(16, 0);
  engine::write_file(job.folder / "few.json",
                     Json({{"input_ids", {std::vector<int32_t>(ids.begin(), ids.begin() + 16), second}},
                           {"attention_mask", {std::vector<int32_t>(16, 1), mask}}})
                         .dump());
  const auto result = [&](const std::string& rows) {
    return json_of(
        run_normlab("probe attention --json --precision f64 --model " + job.run("run") + rows))["results"][0];
  };
  const Json expected = result(" --tokens " + (job.folder / "few.json"));
  for (const char* batch : {" --batch 1", " --batch 8"}) {
    const Json got = result(" --data " + (job.folder / "few.bin") + batch);
    for (const char* key : {"entropy", "relative", "logit_max"})
      for (size_t l = 0; l < 2; ++l)
        CHECK(got[key][l].get<double>() == Approx(expected[key][l].get<double>()).epsilon(1e-12));
    CHECK(got["residual_rms"][1]["ffn"].get<double>() ==
          Approx(expected["residual_rms"][1]["ffn"].get<double>()).epsilon(1e-12));
  }
}

TEST_CASE("what was trained for is printed though no file can be written") {
  ProbeJob job;
  const std::string config = job.config_file(), page = job.folder / "page.html";
  for (const std::string probe : {"gradients --steps 2", "stability --steps 2 --seeds 1"}) {
    const ProgramEnd out = run_normlab(
        "probe " + probe + " --json --quiet pre_ln --config " + config + " --out " + page, "ulimit -f 1;");
    INFO(out.output);
    CHECK(out.code == 2);
    CHECK_THAT(out.output, Contains("\"results\": ["));
    CHECK_THAT(out.last_line(), Contains("page.html: cannot write"));
    CHECK(!engine::file_exists(page));
  }
  const std::string gradients = "probe gradients pre_ln --config " + config + " --out ";
  const ProgramEnd twice = run_normlab(gradients + page + " --trace " + page);
  CHECK(twice.code == 2);
  CHECK_THAT(twice.last_line(), Contains("--trace and --out name one file"));
  const ProgramEnd refused = run_normlab(gradients + "/dev/full");
  CHECK(refused.code == 2);
  CHECK_THAT(refused.last_line(), Contains("--out /dev/full: not a regular file"));
}

TEST_CASE("a run that fails does not take the finished ones with it") {
  ProbeJob job;
  // Without norms activations and gradients grow with every layer: only such a run overflows.
  const std::string config = job.config_file(
      {{"optim", {{"name", "sgd"}, {"lr", 1e3}, {"clip", 0}}}, {"schedule", {{"warmup", 0}}}});
  const std::string page = job.folder / "page.html";
  for (const char* form : {"", " --json"}) {
    std::filesystem::remove(page);
    const ProgramEnd out =
        run_normlab("probe gradients --steps 4 --seeds 2 pre_ln \"attn{} ffn{}\" post_ln --config " + config +
                    " --out " + page + form + " --quiet");
    INFO(out.output);
    CHECK(out.code == 1);
    CHECK_THAT(out.last_line(), Contains("attn{} ffn{}, seed 1: step ") && Contains("First bad number"));
    CHECK(engine::file_exists(page));
    if (*form == 0) {
      CHECK_THAT(out.output, Contains("pre_ln, seed 1, updates 1..4"));
      continue;
    }
    const size_t begin = out.output.find("{\n"), end = out.output.rfind("\n}\n");
    const Json json = engine::parse_json(out.output.substr(begin, end + 2 - begin), "stdout");
    REQUIRE(json["results"].size() == 1);
    CHECK(json["results"][0]["placement"] == "pre_ln");
    CHECK(json["results"][0]["updates"].size() == 4);
  }
}

TEST_CASE("a signal between two runs keeps the finished ones", "[medium]") {
  ProbeJob job;
  // Runs of one update: nearly all of the time is between two of them. (A shell's job in the background
  // ignores Ctrl-C.)
  const std::string command =
                        "probe gradients --json --quiet --steps 1 --seeds 1000 pre_ln post_ln "
                        "normformer hybridnorm --config " +
                        job.config_file(),
                    out = job.folder / "out.json";
  for (const char* delay : {"1.5", "1.6", "1.7"}) {
    INFO("after " << delay << " s");
    const ProgramEnd end = run_shell(BINARY_DIR "/normlab " + command + " >" + out + " 2>/dev/null & sleep " +
                                     delay + "; kill -TERM $!; wait $!; exit $?");
    CHECK(end.code == 130);
    const Json json = engine::read_json(out);
    CHECK(json["results"].size() >= 1);
    CHECK(json["results"].size() < 4000);
  }
}

TEST_CASE("a ramp breaks a run, or is said to have broken none") {
  ProbeJob job;
  const std::string config = job.config_file({{"optim", {{"clip", 0}}}});
  const Json broken = json_of(
      run_normlab("probe stability --json --seeds 2 --ramp 0.05 --max-lr 20 pre_ln --config " + config));
  const Json& result = broken["results"][0];
  REQUIRE(result["runs"].size() == 2);
  for (const Json& r : result["runs"]) {
    CHECK(r["lr"].get<double>() == Approx((r["step"].get<double>() - 1) * 0.05));
    CHECK(r["detected_at"].get<int64_t>() >= r["step"].get<int64_t>());
  }
  CHECK(result["median_lr"].get<double>() ==
        Approx((result["runs"][0]["lr"].get<double>() + result["runs"][1]["lr"].get<double>()) / 2));
  const ProgramEnd held =
      run_normlab("probe stability --seeds 1 --ramp 1e-6 --max-lr 2e-5 pre_ln --config " + config);
  CHECK(held.code == 0);
  CHECK_THAT(held.output, Contains("held to the end") && Contains("--max-lr") && Contains("optim.clip=0"));
  // --steps ends a ramp before its highest rate.
  const std::string few =
      "probe stability --seeds 1 --ramp 0.05 --max-lr 20 --steps 4 pre_ln --config " + config;
  const Json short_ramp = json_of(run_normlab(few + " --json --quiet"));
  CHECK(short_ramp["results"][0]["censored"] == 1);
  CHECK(short_ramp["results"][0]["updates"] == 4);
  CHECK(broken["results"][0]["updates"] == 401);
  CHECK(short_ramp["data"] == job.folder / "train.bin");
  CHECK(short_ramp["config"] == config);
  CHECK_THAT(run_normlab(few).output, Contains("raise --max-lr, --steps or --ramp"));
}

TEST_CASE("each mistake of probe has its line") {
  ProbeJob job;
  const std::string file = job.config_file(), config = " --config " + file;
  const auto refused = [&](const std::string& arguments, const std::string& message) {
    const ProgramEnd out = run_normlab("probe " + arguments);
    INFO(arguments << "\n" << out.output);
    CHECK(out.code == 2);
    CHECK(std::count(out.output.begin(), out.output.end(), '\n') == 1);
    CHECK_THAT(out.output, Contains(message));
  };
  const std::string before = engine::read_file(file);
  refused("gradients pre_ln --steps 2 --out " + file + config, "--out " + file);
  refused("stability pre_ln --out " + file + config, "--out " + file);
  refused("gradients pre_ln --steps 2 --trace " + file + config, "--trace " + file);
  CHECK(engine::read_file(file) == before);
  refused("gradients", "give a saved model (--model DIR) or a config to train (--config FILE)");
  refused("gradients" + config, "SPEC is missing");
  refused("gradients pre_lm" + config, "nearest");
  refused("gradients pre_ln --window 5..30" + config, "--window ends at update 30, training at 24");
  refused("gradients pre_ln --window 5-6" + config, "expected A..B");
  refused("gradients pre_ln --window 6..5" + config, "ends before it begins");
  refused("gradients pre_ln --at 25" + config, "--at: 25 is outside [1, 24]");
  refused("gradients pre_ln --relative-to post_ln" + config, "--window ends at update 1000, training at 24");
  for (const char* key : {"tokens", "epochs", "seconds"})
    refused("gradients pre_ln --set budget." + std::string(key) + "=1" + config,
            "budget." + std::string(key) + " may end training before update 24");
  refused("gradients pre_ln --normalise loss --steps 2" + config, "--normalise goes with --relative-to");
  refused("gradients pre_ln --model x" + config, "--model goes with a saved model");
  for (const char* flag : {"--rows 3", "--batch 2", "--tokenizer x", "--precision f16"})
    refused(std::string("gradients pre_ln ") + flag + config, "goes with a saved model");
  for (const char* flag : {"--set seed=1", "--steps 3", "--seeds 2", "--window 1..2", "--at 1", "--trace x",
                           "--relative-to pre_ln"})
    refused(std::string("gradients --model x --tokens y ") + flag, "goes with --config");
  for (const char* flag : {"--rows 3", "--batch 2"})
    for (const char* probe : {"gradients", "attention"})
      refused(std::string(probe) + " --model x --tokens y " + flag,
              std::string(flag).substr(0, std::string(flag).find(' ')) + " goes with --data");
  refused("attention --model " + job.folder.path, "give the rows with --tokens FILE or with --data SHARDS");
  refused("attention --tokens y --model " + job.folder.path, "config.json");
  refused("gains --all-checkpoints --model " + job.folder.path, "no checkpoints there");
  for (const char* probe : {"gradients pre_ln --steps 2", "stability pre_ln"})
    refused(probe + std::string(" --device cpu --set device=cuda-host") + config,
            "--device cpu says another");
  refused("stability pre_ln --ramp 0" + config, "--ramp");
  refused("stability" + config, "SPEC is missing");
}

#if defined(ENGINE_HAS_cuda_host)
namespace {

/// That the probe computes on the stand-in: one without memory ends it.
void check_place(const std::string& probe) {
  const ProgramEnd out = run_normlab("probe " + probe, "NORMLAB_CUDA_HOST=memory=0");
  INFO(probe << "\n" << out.output);
  CHECK(out.code == 2);
  CHECK_THAT(out.last_line(), Contains("device cuda-host: out of memory"));
}

/// Numbers of the one beside those of the other, relative to them; everything else equal.
void check_near(const Json& got, const Json& expected, double limit) {
  REQUIRE(got.type() == expected.type());
  if (expected.is_number_float()) {
    INFO(got << " beside " << expected);
    CHECK(std::fabs(got.get<double>() - expected.get<double>()) <= limit * std::fabs(expected.get<double>()));
    return;
  }
  if (!expected.is_structured()) {
    CHECK(got == expected);
    return;
  }
  REQUIRE(got.size() == expected.size());
  for (const auto& [key, value] : expected.items()) {
    INFO(key);
    check_near(expected.is_array() ? got[std::stoul(key)] : got[key], value, limit);
  }
}

}  // namespace

TEST_CASE("probes of a saved model on cuda-host give the CPU's numbers, of padded rows and in 16 bits too",
          "[medium]") {
  ProbeJob job;
  const std::string run = job.folder / "run", tokens = job.folder / "tokens.json";
  REQUIRE(run_normlab("train --config " + job.config_file() + " --set budget.steps=2 --out " + run).code ==
          0);
  engine::write_file(tokens, R"({"input_ids": [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 0, 0]],
                                 "attention_mask": [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]})");
  const auto both = [&](const std::string& probe, double limit) {
    INFO(probe);
    const Json cpu = json_of(run_normlab("probe " + probe + " --json --model " + run)),
               gpu = json_of(run_normlab("probe " + probe + " --json --device cuda-host --model " + run));
    check_near(gpu["results"], cpu["results"], limit);
    check_place(probe + " --device cuda-host --model " + run);
  };
  both("gradients --tokens " + tokens, 1e-4);
  both("gradients --precision f64 --rows 4 --data " + (job.folder / "train.bin"), 1e-9);
  both("attention --tokens " + tokens, 1e-4);
  both("attention --precision f64 --rows 2 --data " + (job.folder / "train.bin"), 1e-9);
  both("attention --precision f16 --tokens " + tokens, 1e-2);
  both("gains --all-checkpoints", 0);
}

TEST_CASE("probes that train do so on --device or on the config's, and find the CPU's numbers", "[medium]") {
  ProbeJob job;
  const std::string config = " --config " + job.config_file();
  const auto both = [&](const std::string& probe, const std::string& device, double limit) {
    INFO(probe);
    const Json cpu = json_of(run_normlab("probe " + probe + " --json" + config)),
               gpu = json_of(run_normlab("probe " + probe + " --json" + config + device));
    check_near(gpu["results"], cpu["results"], limit);
    check_place(probe + config + device);
  };
  both("gradients --steps 3 --at 1,3 --window 2..3 --relative-to pre_ln normformer", " --device cuda-host",
       1e-3);
  const std::string ramp = "stability --seeds 1 --ramp 0.2 --max-lr 20 --set optim.clip=0 pre_ln";
  both(ramp, " --device cuda-host", 1e-6);
  both(ramp, " --set device=cuda-host", 1e-6);
}
#endif
