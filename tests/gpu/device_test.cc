// What is to be known of a GPU before its speed matters: fragments, every row of the op table, what must be
// the CPU's bits, whole models, trainings, recorded steps. tests/gpu/run_all.sh runs these on a borrowed
// machine.
//
// NORMLAB_DEVICE=cuda (a build with CUDA has it by default) or cuda-host. The tests are hidden ([.gpu]) but
// for the first, because on the stand-in each has its own in another folder; NORMLAB_ROWS=text keeps rows
// with that text.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "engine/base/json.h"
#include "engine/cases/checks.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/embedding.h"
#include "engine/ops/routing.h"
#include "gpu/fragments_cuda.h"
#include "models/forward.h"
#include "recorded_run.h"
#include "reference_measure.h"
#include "shared_data.h"
#include "train/training_support.h"
#include "wide_work_scope.h"

using namespace engine;
using engine::Json;

namespace {

Device device() {
  const char* set = std::getenv("NORMLAB_DEVICE");
#if defined(ENGINE_HAS_cuda)
  const char* otherwise = "cuda";
#else
  const char* otherwise = "cuda-host";
#endif
  const Device chosen = parse_device(set ? set : otherwise);
  require_device(chosen);
  return chosen;
}

// f(namespace's functions) of the device.
#if defined(ENGINE_HAS_cuda)
#define ON_DEVICE(d, call) ((d) == Device::cuda ? engine::cuda::call : engine::cuda_host::call)
#else
#define ON_DEVICE(d, call) (engine::cuda_host::call)
#endif

void check_fragments(Device d) {
  const Tensor out = Tensor::zeros({128}, DType::i32, d);
  for (const bool transposed : {false, true}) {
    ON_DEVICE(d, fragments_of_matrices(reinterpret_cast<uint32_t*>(out.data<int32_t>()), transposed));
    const std::vector<double> got = out.to_vector();
    for (int lane = 0; lane < 32; ++lane)
      for (int m = 0; m < 4; ++m)
        for (int k = 0; k < 2; ++k) {
          const int g = lane / 4, t = lane % 4 * 2 + k;
          const uint32_t element = (uint32_t(int32_t(got[size_t(lane * 4 + m)])) >> (16 * k)) & 0xffff;
          REQUIRE(element == uint32_t(m * 64 + (transposed ? t * 8 + g : g * 8 + t)));
        }
  }
  const auto product = [&](auto zero, const std::vector<double>& a, const std::vector<double>& b,
                           const std::vector<double>& c) {
    using T = decltype(zero);
    const auto there = [&](const std::vector<double>& v, DType t) {
      return Tensor::from(v, {int64_t(v.size())}, t).to(d);
    };
    const Tensor ta = there(a, dtype_of<T>()), tb = there(b, dtype_of<T>()), tc = there(c, DType::f32),
                 td = Tensor::zeros({128}, DType::f32, d);
    ON_DEVICE(d, fragments_product(ta.data<T>(), tb.data<T>(), tc.data<float>(), td.data<float>()));
    return td.to_vector();
  };
  const auto every_index = [&](auto zero) {
    for (int i = 0; i < 16; ++i)
      for (int k = 0; k < 16; ++k) {
        const int j = (i + 3 * k) % 8, other = (k + 1) % 16;
        std::vector<double> a(256, 0), b(128, 0), c(128, 0);
        a[size_t(i * 16 + k)] = 3, b[size_t(k * 8 + j)] = 5, b[size_t(other * 8 + j)] = 7;
        c[size_t(i * 8 + j)] = 0.5;
        std::vector<double> expected(128, 0);
        expected[size_t(i * 8 + j)] = 15.5;
        REQUIRE(product(zero, a, b, c) == expected);
      }
  };
  every_index(bf16());
  every_index(f16());
  std::vector<double> ramp(128);
  for (size_t i = 0; i < ramp.size(); ++i) ramp[i] = double(i + 1);
  const Tensor from = Tensor::from(ramp, {128}, DType::f32).to(d), to = Tensor::zeros({128}, DType::f32, d);
  ON_DEVICE(d, fragments_copy(from.data<float>(), to.data<float>(), 20));
  std::fill(ramp.begin() + 80, ramp.end(), 0);
  CHECK(to.to_vector() == ramp);
}

bool chosen(const OpCase& c) {
  const char* text = std::getenv("NORMLAB_ROWS");
  return !text || c.name().find(text) != std::string::npos;
}
template <class F>
void each_row(F&& f) {
  int rows = 0;
  for (const OpCase& c : all_cases()) {
    if (!chosen(c)) continue;
    INFO(c.name());
    CaseReport report;
    try {
      report = f(c);
    } catch (const std::exception& e) {
      report = {false, e.what()};
    }
    INFO(report.text);
    CHECK(report.ok);
    ++rows;
  }
  CHECK(rows > 0);
}

std::vector<std::string> reference_models() {
  std::vector<std::string> folders;
  const std::string root = shared_path("reference");
  if (root.empty()) return folders;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("hf_") && std::filesystem::exists(entry.path() / "expected.safetensors"))
      folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

}  // namespace

TEST_CASE("gpu: fragments of the stand-in, by the test's own kernels") { check_fragments(Device::cuda_host); }
TEST_CASE("gpu: fragments", "[.gpu]") { check_fragments(device()); }

TEST_CASE("gpu: every row of the op table", "[.gpu]") {
  const Device d = device();
  each_row([&](const OpCase& c) { return check_device(c, d); });
}
TEST_CASE("gpu: gradients of every row against differences", "[.gpu]") {
  const Device d = device();
  each_row([&](const OpCase& c) { return check_gradients(c, nullptr, d); });
}

TEST_CASE("gpu: what must be the CPU's bits", "[.gpu]") {
  const Device d = device();
  Rng rng{5};
  const int64_t n = 4099;
  std::vector<double> v(static_cast<size_t>(n));
  for (double& x : v) x = rng.normal() * std::exp2(double(rng.below(30)) - 20);
  for (const DType from : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    const Tensor x = Tensor::from(v, {n}, from);
    for (const DType to : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
      INFO(from << " to " << to);
      CHECK(cast(x.to(d), to).to_vector() == cast(x, to).to_vector());
    }
    Rng here{9, 3}, there{9, 3};
    CHECK(dropout(x.to(d), 0.3, there).to_vector() == dropout(x, 0.3, here).to_vector());
    std::vector<int32_t> ids(100);
    for (int32_t& id : ids) id = int32_t(rng.below(40));
    const Tensor table = x.slice(0, 0, 40 * 24).reshape({40, 24}), rows = Tensor::from_ids(ids, {100});
    CHECK(embedding(rows.to(d), table.to(d), 1, from).to_vector() ==
          embedding(rows, table, 1, from).to_vector());
    CHECK(gather_rows(table.to(d), rows.to(d)).to_vector() == gather_rows(table, rows).to_vector());
    const Tensor swapped = Tensor::empty({24, 40}, from);
    const Tensor turned = swapped.to(d);
    swapped.copy_from(table.transpose(0, 1)), turned.copy_from(table.to(d).transpose(0, 1));
    CHECK(turned.to_vector() == swapped.to_vector());
  }
  const Tensor p = Tensor::from(std::vector<double>(v.begin(), v.begin() + 64 * 8), {64, 8}, DType::f32);
  CHECK(route_top_k(p.to(d), 2, false).rows.ids.to_vector() == route_top_k(p, 2, false).rows.ids.to_vector());
}

TEST_CASE("gpu: reference models agree with PyTorch to 1e-9 in f64, 1e-5 in f32", "[.gpu]") {
  nn::Precision precision;
  const Device d = device();
  const WideWorkScope as_on_the_cpu(wide_work(Device::cpu), d);
  REQUIRE(!reference_models().empty());  // NORMLAB_SHARED names their parent
  for (const std::string& folder : reference_models())
    for (const DType dtype : {DType::f64, DType::f32}) {
      precision = nn::Precision::of(dtype);
      precision.device = d;
      const auto model = models::load_model(folder, precision, nn::Gradients::allocated);
      const models::TokenBatch batch =
          models::token_batch(read_json(folder + "/tokens.json"), model->config(), "tokens.json");
      const NamedTensors ours =
          models::output_tensors(models::run_forward(*model, batch, models::WithGradients::yes), dtype);
      const Json theirs = read_json(folder + "/pytorch_errors.json")["f32"];
      for (const auto& [name, error] : tensor_errors(
               ours, load_all(Safetensors(folder + "/expected.safetensors")), batch.tokens.key_mask)) {
        INFO(folder << " " << dtype << " " << name << " " << error);
        CHECK(error <= (dtype == DType::f64 ? 1e-9 : std::max(1e-5, 3 * theirs.value(name, 0.0))));
      }
    }
}

TEST_CASE("gpu: a replayed micro-step is the step, bit for bit", "[.gpu]") {
  for (const models::Objective objective : {models::Objective::clm, models::Objective::mlm})
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      INFO("objective " << int(objective) << " " << dtype);
      train::UpdateOptions o = train::recorded_options;
      const train::RecordedRun eager({objective}, dtype, device(), o);
      o.graphs = true;
      const train::RecordedRun recorded({objective}, dtype, device(), o);
      CHECK(recorded.replays == 8);
      CHECK(recorded.losses == eager.losses);
      CHECK(recorded.gradients == eager.gradients);
      CHECK(recorded.parameters == eager.parameters);
    }
}

TEST_CASE("gpu: trainings of two layers follow the CPU's losses", "[.gpu]") {
  struct Variant {
    const char* precision;
    double tolerance;
  };
  for (const Variant& v : {Variant{"f32", 1e-4}, {"bf16", 5e-3}, {"f16", 5e-3}}) {
    INFO(v.precision);
    train::Job job;
    job.set("precision", v.precision).set("budget.steps", 10).set("dropout.residual", 0.1);
    if (std::string(v.precision) == "f16") job.set("loss_scale.init", 33554432);  // overflows at first
    job.train("cpu");
    job.set("device", name_of(device())).train("gpu");
    const auto expected = train::series(job.run("cpu"), "loss"), got = train::series(job.run("gpu"), "loss");
    REQUIRE(expected.size() == 10);
    REQUIRE(got.size() == 10);
    for (size_t i = 0; i < got.size(); ++i)
      CHECK(std::fabs(got[i] - expected[i]) <= v.tolerance * expected[i]);
    CHECK(train::series(job.run("gpu"), "loss_scale") == train::series(job.run("cpu"), "loss_scale"));
  }
}
