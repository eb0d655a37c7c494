// Fine-tuning of tiny RoBERTa classifiers beside traces of transformers and PyTorch: losses, gradient norms, rates,
// logits of development rows, metrics, final weights.
#include <catch2/catch.hpp>
#include <cmath>
#include <sstream>

#include "engine/base/file.h"
#include "models/hf/directory.h"
#include "models/hf/import.h"
#include "shared_data.h"
#include "temporary_folder.h"
#include "train/finetune/fine_tune_run.h"

using namespace train;
using engine::Json;

namespace {

/// The head of a file: its first `lines`.
std::string first_lines(const std::string& path, size_t lines) {
  std::istringstream in(engine::read_file(path));
  std::string out, line;
  for (size_t i = 0; i < lines && std::getline(in, line); ++i) out += line + "\n";
  return out;
}

/// The task's rows in a folder of their own, of the development set no more than the trace has.
std::string task_folder(const TemporaryFolder& tmp, const std::string& root, const std::string& task,
                        size_t dev_rows) {
  const std::string from = task == "stsb" ? root + "/reference/glue/own_rows" : root + "/data/glue";
  const std::string train = data::glue_file(task, from, "train");
  const std::string dev = task == "stsb" ? train : data::glue_file(task, from, "dev");
  const size_t header = task == "cola" ? 0 : 1;
  engine::write_file(tmp / "train.tsv", first_lines(train, 400));
  engine::write_file(tmp / "dev.tsv", first_lines(dev, dev_rows + header));
  return tmp.path;
}

std::string text_of(const Json& value) { return engine::json_text(value); }

FineTuneSetup setup_of(const Json& trace, const std::string& model, const std::string& folder, bool f64,
                       engine::Device device) {
  const Json& s = trace["settings"];
  FineTuneOptions o;
  o.task = trace["task"].get<std::string>();
  o.recipe = "hf";  // raw text, the score itself
  o.precision = f64 ? "f64" : "f32";
  o.device = device;
  o.batch = s["batch"].get<int64_t>();
  o.rates = {s["lr"].get<double>()};
  o.epochs = 10;
  o.overrides = {"data.order=file",
                 "dropout.residual=0",
                 "dropout.attention=0",
                 "dropout.head=0",
                 "budget.steps=" + text_of(s["steps"]),
                 "schedule.warmup=" + text_of(s["warmup"]),
                 "optim.betas=" + text_of(s["betas"]),
                 "optim.eps=" + text_of(s["eps"]),
                 "optim.weight_decay=" + text_of(s["weight_decay"]),
                 "optim.decay=" + text_of(s["decay"]),
                 "optim.clip=" + text_of(s["clip"])};
  FineTuneSetup setup{.request = fine_tune_request(o)};
  setup.request.data = folder;
  setup.precision = nn::Precision::of(f64 ? engine::DType::f64 : engine::DType::f32);
  setup.source = models::load_any(model, setup.precision).model;
  setup.precision.device = device;
  setup.tokenizer = data::load_tokenizer(model);
  setup.head = models::HeadInit::kept;
  setup.data = read_glue_data(setup.request, *setup.tokenizer, model, setup.source->config());
  return setup;
}

/// Where |a / b - 1| is at most `limit`; NaN is not.
bool near(double a, double b, double limit) { return std::fabs(a - b) <= limit * std::fabs(b); }

/// `updates`: how many of the trace; 0: all, and what comes after them.
void check_trace(const std::string& task, const char* copy, bool f64,
                 engine::Device device = engine::Device::cpu, size_t updates = 0) {
  const std::string root = shared_path("");
  if (root.empty()) return;
  const std::string glue = root + "/reference/glue";
  const Json trace = engine::read_json(glue + "/trace_" + task + ".json");
  const TemporaryFolder rows, runs;
  const std::string model = glue + "/" + trace["model"].get<std::string>();
  const FineTuneSetup setup = setup_of(trace, model + copy, task_folder(rows, root, task, 200), f64, device);
  const double limit = f64 ? 1e-9 : 1e-4;
  FineTuneRun run(setup, setup.request.rates[0], 1, runs / "run");
  CHECK(run.updates() == int64_t(trace["steps"].size()));
  for (const Json& expected : trace["steps"]) {
    if (updates > 0 && run.step() == int64_t(updates)) return;
    INFO("update " << expected["step"]);
    const FineTuneRun::Step made = run.update();
    CHECK(near(made.loss, expected["loss"], limit));
    if (f64) CHECK(near(made.norm, expected["grad_norm"], limit));
    CHECK(std::fabs(made.lr - expected["lr"].get<double>()) < 1e-15);
  }

  const Json& dev = trace["dev"];
  const GlueOutputs outputs = glue_outputs(run.model(), setup.data, setup.data.dev);
  REQUIRE(outputs.rows() == dev["rows"].get<int64_t>());
  double error = 0, size = 0;
  for (int64_t i = 0; i < outputs.rows(); ++i) {
    CHECK(setup.data.dev.rows[size_t(i)].text.ids == dev["input_ids"][size_t(i)].get<std::vector<int32_t>>());
    for (int64_t c = 0; c < outputs.classes; ++c) {
      const double expected = dev["logits"][size_t(i)][size_t(c)];
      error += std::pow(outputs.logits[size_t(i * outputs.classes + c)] - expected, 2);
      size += expected * expected;
    }
  }
  CHECK(std::sqrt(error) <= (f64 ? 1e-9 : 1e-2) * std::sqrt(size));
  if (!f64) return;
  const Json metrics = glue_metrics(setup.request.task, setup.data, setup.data.dev, outputs);
  for (const auto& [name, value] : dev["metrics"].items()) {
    INFO(name);
    if (name == "predicted_1") {
      const std::vector<int> predictions = outputs.predictions();
      CHECK(std::count(predictions.begin(), predictions.end(), 1) == value.get<int64_t>());
      continue;
    }
    const std::string key = name == "mse" ? "loss" : name;
    if (key == "matthews" && !metrics.contains(key)) continue;  // the task is not judged by it
    REQUIRE(metrics.contains(key));
    const Json& ours = metrics[key];
    REQUIRE(ours.is_number());
    CHECK(std::fabs(ours.get<double>() - value.get<double>()) <= 1e-9 * std::max(1.0, std::fabs(value.get<double>())));
  }
  // Final weights, in Hugging Face's names: their sum and their 2-norm.
  const models::HfDirectory directory(model);
  int tensors = 0;
  for (const models::MappedTensor& mapped : directory.tensors())
    for (const auto& [name, tensor] :
         models::take_apart(mapped, run.model().parameters()[mapped.name].value)) {
      INFO(name);
      const Json& expected = trace["final_parameters_sum_and_norm"][name];
      double sum = 0, squares = 0;
      for (const double x : tensor.to_vector()) sum += x, squares += x * x;
      const double norm = expected[1];
      CHECK(std::fabs(sum - expected[0].get<double>()) <= 1e-9 * norm * std::sqrt(double(tensor.numel())));
      CHECK(near(std::sqrt(squares), norm, 1e-9));
      ++tensors;
    }
  CHECK(tensors == 41);
}

}  // namespace

TEST_CASE("fine-tuning on SST-2, CoLA, RTE and STS-B is that of transformers, in f64") {
  for (const char* task : {"sst2", "cola", "rte", "stsb"}) {
    INFO(task);
    check_trace(task, "", true);
  }
}

TEST_CASE("fine-tuning of the same weights in our format, in f64 and in f32") {
  check_trace("sst2", "-normlab", true);
  for (const char* task : {"sst2", "cola", "rte", "stsb"}) {
    INFO(task);
    check_trace(task, "-normlab", false);
  }
}

#if defined(ENGINE_HAS_cuda_host)
TEST_CASE("the first updates of SST-2 and STS-B on cuda-host are those of transformers, in f64", "[medium]") {
  check_trace("sst2", "", true, engine::Device::cuda_host, 3);
  check_trace("stsb", "", true, engine::Device::cuda_host, 3);
}
#endif
