// Fine-tuning on the stand-in beside the CPU: updates and outputs, a run that goes on on the other device,
// children, memory, a device that gives up.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/base/stop.h"
#include "engine/core/allocator.h"
#include "glue_files.h"
#include "train/finetune/fine_tune_run.h"
#include "train/memory_check.h"
#include "train/trainer.h"

#if defined(ENGINE_HAS_cuda_host)
using namespace train;
using Catch::Matchers::Contains;
using engine::Device;

namespace {

/// Five updates of eight rows, with dropout.
FineTuneSetup setup_of(const GlueFiles& files, const std::string& task, Device device,
                       const std::string& precision = "f32") {
  FineTuneOptions o;
  o.task = task;
  o.recipe = "hf";
  o.precision = precision;
  o.batch = 8;
  o.epochs = 1;
  o.rates = {0.01};
  o.device = device;
  o.overrides = {"log.every=1", "eval.every=3"};
  FineTuneSetup setup{.request = fine_tune_request(o)};
  setup.request.data = files / task;
  setup.precision = precision_of(setup.request.config);
  setup.source = models::load_model(files / "mlm", nn::Precision::of(engine::DType::f32));
  setup.tokenizer = data::load_tokenizer(files / "mlm");
  setup.data = read_glue_data(setup.request, *setup.tokenizer, "mlm", setup.source->config());
  return setup;
}

void check_near(double a, double b, double limit) {
  INFO(a << " beside " << b);
  CHECK(std::fabs(a - b) <= limit * std::fabs(b));
}

/// Training losses and validations of a run, by update.
std::vector<double> losses_of(const std::string& run) {
  std::vector<double> out;
  for (const Json& line : read_metrics(run + "/metrics.jsonl"))
    out.push_back(line.value(line.contains("valid_loss") ? "valid_loss" : "loss", Json()).get<double>());
  return out;
}

/// What Ctrl-C behind the first `updates` leaves: a checkpoint.
void train_and_stop(const FineTuneSetup& setup, const std::string& folder, int updates) {
  FineTuneRun run(setup, 0.01, 1, folder);
  for (int i = 0; i < updates; ++i) run.update();
  engine::request_stop();
  CHECK_FALSE(run.run());
  engine::clear_stop();
}

}  // namespace

TEST_CASE("fine-tuning on cuda-host follows the CPU in f32 and f16, of classes and of scores", "[medium]") {
  GlueFiles files;
  files.task("stsb", 40, 12);
  struct Kind {
    const char *task, *precision;
    double limit;
  };
  for (const Kind& kind : {Kind{"cola", "f32", 1e-4}, Kind{"stsb", "f32", 1e-4}, Kind{"cola", "f16", 1e-2}}) {
    INFO(kind.task << " " << kind.precision);
    const std::string name = std::string(kind.task) + kind.precision;
    const FineTuneSetup here = setup_of(files, kind.task, Device::cpu, kind.precision),
                        there = setup_of(files, kind.task, Device::cuda_host, kind.precision);
    FineTuneRun cpu(here, 0.01, 1, files / (name + "cpu")), gpu(there, 0.01, 1, files / (name + "gpu"));
    REQUIRE(cpu.updates() == 5);
    for (int64_t i = 0; i < cpu.updates(); ++i) {
      INFO("update " << i + 1);
      const FineTuneRun::Step expected = cpu.update(), got = gpu.update();
      check_near(got.loss, expected.loss, kind.limit);
      check_near(got.norm, expected.norm, kind.limit);
      CHECK(got.lr == expected.lr);
    }
    const GlueOutputs expected = glue_outputs(cpu.model(), here.data, here.data.dev),
                      got = glue_outputs(gpu.model(), there.data, there.data.dev);
    REQUIRE(got.logits.size() == expected.logits.size());
    double error = 0, size = 0;
    for (size_t i = 0; i < got.logits.size(); ++i) {
      error += std::pow(got.logits[i] - expected.logits[i], 2);
      size += std::pow(expected.logits[i], 2);
    }
    CHECK(std::sqrt(error) <= kind.limit * std::sqrt(size));
  }
}

TEST_CASE("a fine-tuning that was cut goes on: on the same device as if it had not been, on another one too",
          "[medium]") {
  const GlueFiles files;
  const FineTuneSetup cpu = setup_of(files, "cola", Device::cpu),
                      gpu = setup_of(files, "cola", Device::cuda_host);
  const auto run = [&](const FineTuneSetup& setup, const char* name) {
    FineTuneRun run(setup, 0.01, 1, files / name);
    CHECK(run.run());
    CHECK(run.step() == run.updates());
    return losses_of(files / name);
  };
  const std::vector<double> whole = run(gpu, "whole"), on_cpu = run(cpu, "cpu");
  REQUIRE(whole.size() == 7);  // five updates, validations behind the third and the last
  const auto goes_on = [&](const FineTuneSetup& first, const FineTuneSetup& then, const char* name) {
    train_and_stop(first, files / name, 3);
    const std::vector<double> rest = run(then, name);  // update() logs nothing: from the third validation on
    REQUIRE(rest.size() == 4);
    return rest;
  };
  const auto rest_of = [](const std::vector<double>& losses) {
    return std::vector<double>(losses.begin() + 3, losses.end());
  };
  CHECK(goes_on(gpu, gpu, "same") == rest_of(whole));
  const std::vector<double> to_cpu = goes_on(gpu, cpu, "to cpu"), to_gpu = goes_on(cpu, gpu, "to gpu");
  for (size_t i = 0; i < to_cpu.size(); ++i) {
    check_near(to_cpu[i], rest_of(on_cpu)[i], 1e-4);
    check_near(to_gpu[i], rest_of(on_cpu)[i], 1e-4);
  }
  CHECK(engine::read_json(files / "to cpu/config.json")["config"]["device"] == "cpu");
  CHECK(engine::read_json(files / "to gpu/result.json")["status"] == "done");
}

TEST_CASE("finetune --device: children have it, a sweep goes on on another one, the best model answers on it",
          "[medium]") {
  GlueFiles files;
  files.put("cola/test.tsv", "index\tsentence\n0\tax\n1\tbx\n2\tb\n");
  const std::string rest = "--lr 0.02 --seeds 1,2 --batch 8 --epochs 1 --keep all --json ";
  const Json cpu =
      json_of(run_normlab(files.command("cola", "cpu", rest + "--predict " + (files / "cpu.tsv"))));
  CHECK(cpu["device"] == "cpu");
  const Json gpu = json_of(run_normlab(
      files.command("cola", "gpu", rest + "--device cuda-host --jobs 2 --predict " + (files / "gpu.tsv"))));
  CHECK(gpu["device"] == "cuda-host");
  for (size_t i = 0; i < 2; ++i) {
    const Json &here = cpu["results"][i], &there = gpu["results"][i];
    CHECK(there["status"] == "done");
    check_near(there["dev"]["loss"], here["dev"]["loss"], 1e-3);
    CHECK(engine::read_json(there["path"].get<std::string>() + "/config.json")["config"]["device"] ==
          "cuda-host");
  }
  CHECK(engine::read_file(files / "gpu.tsv") == engine::read_file(files / "cpu.tsv"));
  // What part of the device a child may hold is the parent's to say.
  for (const char* jobs : {"1", "2"}) {
    const ProgramEnd out =
        run_normlab(files.command("cola", "share",
                                  rest + "--set budget.steps=1 --device cuda-host --resume --jobs " + jobs),
                    "NORMLAB_DEVICE_SHARE=half");
    INFO(out.output);
    CHECK(out.code == (*jobs == '1' ? 2 : 0));
    if (*jobs == '1')
      CHECK_THAT(out.last_line(), Contains("NORMLAB_DEVICE_SHARE=half: expected a number of bytes"));
  }

  REQUIRE(
      run_normlab(files.command("cola", "both", rest + "--device cuda-host --only lr-0.02-seed-1")).code ==
      0);
  const Json both = json_of(run_normlab(files.command("cola", "both", rest + "--resume")));
  const auto device_of = [&](const char* run) {
    return engine::read_json(files / "both/" + run + "/config.json")["config"]["device"];
  };
  CHECK(device_of("lr-0.02-seed-1") == "cuda-host");
  CHECK(device_of("lr-0.02-seed-2") == "cpu");
  CHECK(both["results"][0]["dev"] == gpu["results"][0]["dev"]);
  CHECK(both["results"][1]["dev"] == cpu["results"][1]["dev"]);
}

TEST_CASE("the memory plan of fine-tuning holds where a device records steps of many lengths", "[medium]") {
  GlueFiles files;
  files.task("cola", 80, 12);
  const FineTuneSetup setup = setup_of(files, "cola", Device::cuda_host);
  TrainConfig config = run_config(setup.request, 80, 0.01, 1);
  models::ModelConfig classifier = setup.source->config();
  classifier.objective = models::Objective::classify, classifier.classes = 2;
  engine::trim_memory(Device::cuda_host);
  engine::reset_peak_memory(Device::cuda_host);
  const int64_t before = engine::memory_statistics(Device::cuda_host).in_use;
  FineTuneRun(setup, 0.01, 1, files / "run").run();
  const double peak = double(engine::memory_statistics(Device::cuda_host).peak - before);
  const double plan = planned_memory(config, classifier, setup.data.train.longest());
  INFO("plan " << plan / (1 << 10) << " KiB, peak " << peak / (1 << 10) << " KiB");
  CHECK(peak <= plan);
}

TEST_CASE("a device that gives up in the middle of a run: exit 1, no result, and --resume goes on",
          "[medium]") {
  GlueFiles files;
  // 16 short rows, then long ones, which do not fit into the device.
  std::string rows = "sentence\tlabel\n";
  for (int i = 0; i < 16; ++i) rows += GlueFiles::text(i) + "\t" + std::to_string(i % 2) + "\n";
  for (int i = 0; i < 16; ++i)
    rows += GlueFiles::text(i) + std::string(1500, 'x') + "\t" + std::to_string(i % 2) + "\n";
  files.put("cola/train.tsv", rows);
  files.model("mlm", {{"context", 1600}});
  const std::string command = files.command(
      "cola", "run", "--lr 1e-3 --epochs 1 --batch 8 --set data.order=file checkpoint.every=1 ");
  for (const char* jobs : {"", " --jobs 2"}) {
    INFO(jobs);
    const ProgramEnd lost =
        run_normlab(command + "--device cuda-host --resume" + jobs, "NORMLAB_CUDA_HOST=memory=4");
    INFO(lost.output);
    CHECK(lost.code == (*jobs == 0 ? 1 : 2));  // the process that is begun once more makes no update
    if (*jobs == 0)
      CHECK_THAT(lost.last_line(), Contains("lr-0.001-seed-1: update 3: device cuda-host: out of memory") &&
                                       Contains("--resume goes on"));
    else
      CHECK_THAT(lost.last_line(), Contains("log.txt: device cuda-host: out of memory"));
    CHECK(!std::filesystem::exists(files / "run/lr-0.001-seed-1/result.json"));
  }
  for (const char* precision : {"f32", "f64"}) {
    const ProgramEnd refused = run_normlab(
        files.command("cola", precision, std::string("--device cuda-host --precision ") + precision),
        "NORMLAB_CUDA_HOST=memory=0");
    INFO(refused.output);
    CHECK(refused.code == 2);
    CHECK_THAT(refused.last_line(), Contains("device cuda-host: out of memory"));
  }
  const ProgramEnd out = run_normlab(command + "--resume");
  INFO(out.output);
  CHECK(out.code == 0);
  CHECK_THAT(out.output, Contains("resuming at update 2"));
}
#endif
