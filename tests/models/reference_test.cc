// Every model of the reference collection through `forward`, against tensors that PyTorch computed (see its
// README for the measure): loss, logits, hidden and every gradient, in f64, f32 and bf16; and ten AdamW
// steps.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>

#include "engine/base/json.h"
#include "models/forward.h"
#include "reference_measure.h"
#include "shared_data.h"
#include "wide_work_scope.h"

using namespace engine;
using namespace models;

namespace {

// The collection's folders of one model each: those with tensors that PyTorch computed. hf_* are
// import_forward_test's.
std::vector<std::string> cases() {
  std::vector<std::string> names;
  const std::string root = shared_path("reference");
  if (root.empty()) return names;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("hf_") && std::filesystem::exists(entry.path() / "expected.safetensors"))
      names.push_back(entry.path());
  }
  REQUIRE(names.size() >= 67);
  std::sort(names.begin(), names.end());
  return names;
}

std::map<std::string, double> run_case(const std::string& folder, DType dtype, Device device = Device::cpu) {
  nn::Precision precision = nn::Precision::of(dtype);
  precision.device = device;
  const auto model = load_model(folder, precision, nn::Gradients::allocated);
  const TokenBatch batch = token_batch(read_json(folder + "/tokens.json"), model->config(), "tokens.json");
  const Safetensors expected(folder + "/expected.safetensors");
  const NamedTensors ours = output_tensors(run_forward(*model, batch, WithGradients::yes), dtype);
  size_t gradients = 0;
  for (const auto& [name, tensor] : ours) gradients += name.starts_with("grad.");
  CHECK(gradients == model->parameters().all().size());
  return tensor_errors(ours, load_all(expected), batch.tokens.key_mask);
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v.empty() ? 0 : v[v.size() / 2];
}

}  // namespace

TEST_CASE("reference models in f64 agree with PyTorch to 1e-9", "[medium]") {
  for (const std::string& folder : cases()) {
    INFO(folder);
    for (const auto& [name, error] : run_case(folder, DType::f64)) {
      INFO(name << " " << error);
      CHECK(error <= 1e-9);
    }
  }
}

TEST_CASE("reference models in f32 are as close as PyTorch's f32", "[medium]") {
  for (const std::string& folder : cases()) {
    INFO(folder);
    const Json theirs = read_json(folder + "/pytorch_errors.json")["f32"];
    for (const auto& [name, error] : run_case(folder, DType::f32)) {
      INFO(name << " " << error << ", PyTorch " << theirs.value(name, 0.0));
      CHECK(error <= std::max(1e-5, 3 * theirs.value(name, 0.0)));
    }
  }
}

#if defined(ENGINE_HAS_cuda_host)
TEST_CASE("reference models on cuda-host agree with PyTorch to 1e-9 in f64, 1e-5 in f32", "[medium]") {
  const WideWorkScope as_on_the_cpu(wide_work(Device::cpu), Device::cuda_host);
  for (const std::string& folder : cases()) {
    INFO(folder);
    for (const auto& [name, error] : run_case(folder, DType::f64, Device::cuda_host)) {
      INFO("f64 " << name << " " << error);
      CHECK(error <= 1e-9);
    }
    const Json theirs = read_json(folder + "/pytorch_errors.json")["f32"];
    for (const auto& [name, error] : run_case(folder, DType::f32, Device::cuda_host)) {
      INFO("f32 " << name << " " << error << ", PyTorch " << theirs.value(name, 0.0));
      CHECK(error <= std::max(1e-5, 3 * theirs.value(name, 0.0)));
    }
  }
}
#endif

// Small products keep f32 factors as they are; with the limit at 0 every product is one of bf16, as in large
// models. Gradients of single numbers, sums over a few rows that cancel, may then be twice as far away.
TEST_CASE("reference models in bf16 are as close as PyTorch's autocast", "[medium]") {
  const int64_t limit = GENERATE(wide_work(Device::cpu), int64_t(0));
  const WideWorkScope scope(limit);
  const double slack = limit > 0 ? 1 : 2;
  for (const std::string& folder : cases()) {
    INFO(folder << ", small up to " << limit);
    const Json theirs = read_json(folder + "/pytorch_errors.json")["bf16"];
    std::vector<double> their_gradients;
    double our_squares = 0, their_squares = 0;
    for (const auto& [name, value] : theirs.items())
      if (name.starts_with("grad.")) their_gradients.push_back(value.get<double>());
    const double middle = median(their_gradients);
    for (const auto& [name, error] : run_case(folder, DType::bf16)) {
      INFO(name << " " << error << ", PyTorch " << theirs.value(name, 0.0));
      const double reference = theirs.value(name, 0.0);
      if (name == "loss")
        CHECK(error <= 0.01);
      else if (name == "logits" || name == "hidden")
        CHECK(error <= 2 * reference);
      else {
        CHECK(error <= 4 * slack * std::max(reference, middle));
        our_squares += error * error;
        their_squares += reference * reference;
      }
    }
    INFO("root mean square of gradient errors: " << std::sqrt(our_squares) << " against "
                                                 << std::sqrt(their_squares));
    CHECK(std::sqrt(our_squares) <= 2 * slack * std::sqrt(their_squares));
  }
}
