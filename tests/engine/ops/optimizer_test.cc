// Optimizer steps against PyTorch's (tests/goldens/optimizer.json) and fairseq's (reference traces), f16
// rounding, compute copies, threads, messages.
#include "engine/ops/optimizer.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <functional>

#include "engine/base/json.h"
#include "engine/base/philox.h"
#include "engine/cpu/parallel.h"
#include "shared_data.h"

using namespace engine;
using Catch::Matchers::Equals;

namespace {

std::vector<double> numbers(const Json& array) {
  std::vector<double> values;
  for (const Json& x : array)
    values.push_back(x.is_string() ? std::strtod(x.get<std::string>().c_str(), nullptr) : x.get<double>());
  return values;
}
Tensor tensor(const std::vector<double>& values, DType dtype) {
  return Tensor::from(values, {int64_t(values.size())}, dtype);
}
Tensor normal(int64_t n, DType dtype, uint64_t seed) {
  Rng rng{seed};
  std::vector<double> values(static_cast<size_t>(n));
  for (double& v : values) v = rng.normal();
  return tensor(values, dtype);
}
void check_close(const Tensor& got, const std::vector<double>& expected, double relative, double margin = 0) {
  const std::vector<double> values = got.to_vector();
  REQUIRE(values.size() == expected.size());
  for (size_t i = 0; i < values.size(); ++i)
    CHECK(values[i] == Approx(expected[i]).epsilon(relative).margin(margin));
}
std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("AdamW and SGD take PyTorch's steps") {
  const Json golden = read_json(SOURCE_DIR "/tests/goldens/optimizer.json");
  const double factor =
      GENERATE(1.0, 0.125);  // gradients given 8 times too large, and made right by the factor
  const auto run = [&](const Json& trace, auto step) {
    const Tensor p = tensor(numbers(golden["start"]), DType::f64);
    const Tensor a = Tensor::zeros(p.shape(), DType::f64), b = Tensor::zeros(p.shape(), DType::f64);
    int64_t t = 0;
    for (const Json& row : golden["gradients"]) {
      std::vector<double> g = numbers(row);
      for (double& x : g) x /= factor;
      step(trace["settings"], p, tensor(g, DType::f64), a, b, ++t);
    }
    check_close(p, numbers(trace["parameters"]), 1e-13);
  };
  for (const Json& trace : golden["adamw"])
    run(trace,
        [&](const Json& s, const Tensor& p, const Tensor& g, const Tensor& m, const Tensor& v, int64_t t) {
          adamw_step(p, g, m, v,
                     {.lr = s["lr"],
                      .beta1 = s["betas"][0],
                      .beta2 = s["betas"][1],
                      .eps = s["eps"],
                      .weight_decay = s["weight_decay"],
                      .step = t,
                      .gradient_factor = factor});
        });
  for (const Json& trace : golden["sgd"])
    run(trace,
        [&](const Json& s, const Tensor& p, const Tensor& g, const Tensor& buffer, const Tensor&, int64_t) {
          const double momentum = s["momentum"];
          sgd_step(p, g, momentum > 0 ? buffer : Tensor(),
                   {.lr = s["lr"],
                    .momentum = momentum,
                    .weight_decay = s["weight_decay"],
                    .gradient_factor = factor});
        });
}

TEST_CASE("Adam takes fairseq's steps") {
  const std::string path = shared_path("reference/fairseq_traces.json");
  if (path.empty()) return;
  const Json all = read_json(path);
  for (const Json& trace : all["adam"]["traces"]) {
    const Json& s = trace["settings"];
    INFO(s);
    const Tensor p = tensor(numbers(all["gradients"]["initial"]), DType::f64);
    const Tensor m = Tensor::zeros(p.shape(), DType::f64), v = Tensor::zeros(p.shape(), DType::f64);
    for (size_t i = 0; i < s["lr"].size(); ++i) {
      fairseq_adam_step(p, tensor(numbers(all["gradients"]["gradients"][i]), DType::f64), m, v,
                        {.lr = s["lr"][i],
                         .beta1 = s["betas"][0],
                         .beta2 = s["betas"][1],
                         .eps = s["eps"],
                         .weight_decay = s["weight_decay"],
                         .step = int64_t(i) + 1});
      check_close(p, numbers(trace["params"][i]), 1e-12, 1e-18);
    }
    check_close(m, numbers(trace["exp_avg"]), 1e-12);
    check_close(v, numbers(trace["exp_avg_sq"]), 1e-12);
  }
}

TEST_CASE("NAG takes fairseq's steps") {
  const std::string path = shared_path("reference/fairseq_traces.json");
  if (path.empty()) return;
  const Json all = read_json(path);
  for (const Json& trace : all["nag"]["traces"]) {
    const Json& s = trace["settings"];
    INFO(s);
    const bool released = s["momentum_buffer"] != "float64";  // that one rounds its buffer to f32
    const Tensor p = tensor(numbers(all["gradients"]["initial"]), DType::f64);
    const Tensor buffer = Tensor::zeros(p.shape(), DType::f64);
    double previous = s["lr_at_construction"];
    for (size_t i = 0; i < s["lr"].size(); ++i) {
      nag_step(p, tensor(numbers(all["gradients"]["gradients"][i]), DType::f64), buffer,
               {.lr = s["lr"][i],
                .previous_lr = previous,
                .momentum = s["momentum"],
                .weight_decay = s["weight_decay"]});
      previous = s["lr"][i];
      check_close(p, numbers(trace["params"][i]), released ? 1e-5 : 1e-12, released ? 1e-9 : 1e-24);
    }
    check_close(buffer, numbers(trace["momentum_buffer"]), released ? 1e-5 : 1e-12, released ? 1e-9 : 1e-24);
  }
}

// The factor as the wrappers form it: 1 / scale / tokens, and max / norm where the norm is above max.
TEST_CASE("f16 training takes the steps of fairseq's wrappers, bit for bit") {
  const std::string path = shared_path("reference/fairseq_traces.json");
  if (path.empty()) return;
  const Json all = read_json(path);
  int steps = 0;
  for (const Json& trace : all["mixed_precision"]["traces"]) {
    const Json& s = trace["settings"];
    INFO(s);
    const bool efficient = s["wrapper"] == "memory_efficient_fp16";
    const Tensor f16_parameters = tensor(numbers(all["gradients"]["initial"]), DType::f16);
    const Tensor master = tensor(f16_parameters.to_vector(), DType::f32);
    const Tensor m = Tensor::zeros(master.shape(), DType::f32), v = Tensor::zeros(master.shape(), DType::f32);
    int64_t t = 0;
    for (size_t i = 0; i < trace["steps"].size(); ++i) {
      const Json& step = trace["steps"][i];
      if (step["event"] != ".") continue;
      const Tensor g = tensor(numbers(step["raw_fp16_grad"]), DType::f16);
      double factor = 1 / step["scale_before"].get<double>() / s["tokens"][i].get<double>();
      const double norm = factor * std::sqrt(sum_of_squares(g)), max = s["clip_norm"];
      CHECK(norm == Approx(step["grad_norm"].get<double>()).epsilon(1e-6));
      if (max > 0 && norm > max) factor *= max / norm;
      const AdamOptions options{.lr = s["lr"],
                                .beta1 = s["betas"][0],
                                .beta2 = s["betas"][1],
                                .eps = s["eps"],
                                .weight_decay = s["weight_decay"],
                                .step = ++t,
                                .gradient_factor = factor};
      if (efficient)
        fairseq_adam_step(f16_parameters, g, m, v, options);
      else
        fairseq_adam_step(master, tensor(g.to_vector(), DType::f32), m, v, options, f16_parameters);
      INFO("step " << i);
      CHECK(f16_parameters.to_vector() == numbers(step["params_fp16"]));
      ++steps;
    }
  }
  CHECK(steps > 30);
}

TEST_CASE("f16 gradients are rounded to f16 after the factor") {
  // 1.5 * 2^-24 rounds to 2^-23 in f16 (ties to even); f32 would keep it.
  const Tensor p = Tensor::zeros({3}, DType::f16), g = tensor({0x1p-24, 0x1p-10, 1}, DType::f16);
  const Tensor buffer = Tensor::zeros({3}, DType::f32);
  sgd_step(p, g, buffer, {.lr = 0, .momentum = 0.5, .gradient_factor = 1.5});
  CHECK(buffer.to_vector() == std::vector<double>{0x1p-23, 1.5 * 0x1p-10, 1.5});
}

TEST_CASE("f32 steps follow f64, refresh the compute copy, and do not depend on threads or position") {
  const int64_t n = 50021;
  const auto step = [&](DType dtype, int threads, int64_t begin, int64_t end, const Tensor& low = {}) {
    const int before = cpu::thread_count();
    cpu::set_thread_count(threads);
    const Tensor p = normal(n, dtype, 1).slice(0, begin, end), g = normal(n, dtype, 2).slice(0, begin, end);
    const Tensor m = Tensor::zeros(p.shape(), dtype), v = Tensor::zeros(p.shape(), dtype);
    for (int64_t t = 1; t <= 3; ++t)
      adamw_step(p, g, m, v, {.lr = 0.01, .weight_decay = 0.1, .step = t, .gradient_factor = 0.5}, low);
    cpu::set_thread_count(before);
    return p;
  };
  const Tensor low = Tensor::empty({n}, GENERATE(DType::bf16, DType::f16));
  const Tensor one = step(DType::f32, 1, 0, n, low);
  check_close(one, step(DType::f64, 2, 0, n).to_vector(), 1e-6, 1e-6);
  CHECK(low.to_vector() == tensor(one.to_vector(), low.dtype()).to_vector());
  for (int threads : {2, 3, 8}) CHECK(step(DType::f32, threads, 0, n).to_vector() == one.to_vector());
  CHECK(step(DType::f32, 2, 777, n - 5).to_vector() == one.slice(0, 777, n - 5).to_vector());
}

TEST_CASE("moving averages") {
  const Tensor average = normal(1003, DType::f32, 1), p = normal(1003, DType::bf16, 2);
  const std::vector<double> a = average.to_vector(), b = p.to_vector();
  ema_step(average, p, 0.75);
  for (size_t i = 0; i < a.size(); ++i)
    CHECK(average.to_vector()[i] == Approx(0.75 * a[i] + 0.25 * b[i]).epsilon(1e-5).margin(1e-7));
}

TEST_CASE("sums of squares are exact enough and do not depend on threads") {
  const int64_t n = GENERATE(0, 1, 17, 16384, 70001);
  const DType dtype = GENERATE(DType::f64, DType::f32, DType::bf16, DType::f16);
  const Tensor x = normal(n, dtype, 3);
  double expected = 0;
  for (double v : x.to_vector()) expected += v * v;
  const double got = sum_of_squares(x);
  CHECK(got == Approx(expected).epsilon(1e-13));
  const int before = cpu::thread_count();
  for (int threads : {1, 3, 8}) {
    cpu::set_thread_count(threads);
    CHECK(sum_of_squares(x) == got);
  }
  cpu::set_thread_count(before);
  if (n > 0) {
    Tensor bad = normal(n, dtype, 3);
    bad.slice(0, n - 1, n).fill(INFINITY);
    CHECK(std::isinf(sum_of_squares(bad)));
    bad.slice(0, n / 2, n / 2 + 1).fill(NAN);
    CHECK(std::isnan(sum_of_squares(bad)));
  }
  CHECK(std::isfinite(sum_of_squares(tensor({1e30, 1e30}, DType::f32))));  // f32 would overflow
}

TEST_CASE("convert rounds once, any size") {
  const int64_t n = GENERATE(0, 5, 16384, 40000);
  const Tensor x = normal(n, DType::f32, 4);
  for (DType dtype : {DType::f64, DType::bf16, DType::f16}) {
    const Tensor y = Tensor::empty({n}, dtype);
    const uint32_t before = y.storage()->version;
    convert(x, y);
    CHECK(y.to_vector() == tensor(x.to_vector(), dtype).to_vector());
    CHECK(y.storage()->version - before == uint32_t(n >= 8) + uint32_t(n % 8 != 0));  // one for each copy
  }
}

TEST_CASE("optimizer steps say what is wrong") {
  const Tensor p = Tensor::zeros({6}, DType::f32), g = Tensor::zeros({6}, DType::f32),
               m = Tensor::zeros({6}, DType::f32), v = Tensor::zeros({6}, DType::f32),
               short_one = Tensor::zeros({5}, DType::f32);
  const auto adamw = [&](AdamOptions o) { return message([&] { adamw_step(p, g, m, v, o); }); };
  CHECK_THAT(adamw({.lr = NAN}), Equals("adamw_step: lr must be finite, got nan"));
  CHECK_THAT(adamw({.lr = INFINITY}), Equals("adamw_step: lr must be finite, got inf"));
  CHECK_THAT(adamw({.lr = -1}), Equals("adamw_step: lr must lie in [0, inf), got -1"));
  CHECK_THAT(adamw({.beta1 = 1}), Equals("adamw_step: beta1 must lie in [0, 1), got 1"));
  CHECK_THAT(adamw({.beta2 = -0.5}), Equals("adamw_step: beta2 must lie in [0, 1), got -0.5"));
  CHECK_THAT(adamw({.eps = NAN}), Equals("adamw_step: eps must be finite, got nan"));
  CHECK_THAT(adamw({.weight_decay = -1}), Equals("adamw_step: weight_decay must lie in [0, inf), got -1"));
  CHECK_THAT(adamw({.gradient_factor = NAN}), Equals("adamw_step: gradient_factor must be finite, got nan"));
  CHECK_THAT(adamw({.step = 0}), Equals("adamw_step: step must be at least 1, got 0"));
  CHECK_THAT(message([&] { adamw_step(p, short_one, m, v, {}); }),
             Equals("adamw_step: gradients must be contiguous with 6 elements of f32, got [5] f32"));
  CHECK_THAT(message([&] { fairseq_adam_step(p, g, short_one, v, {}); }),
             Equals("fairseq_adam_step: m must be contiguous with 6 elements of f32, got [5] f32"));
  CHECK_THAT(message([&] { adamw_step(p, g, m, {}, {}); }),
             Equals("adamw_step: v must be contiguous with 6 elements of f32, got nothing"));
  CHECK_THAT(message([&] { adamw_step({}, g, m, v, {}); }),
             Equals("adamw_step: needs contiguous parameters of f64, f32 or f16, got nothing"));
  CHECK_THAT(message([&] { adamw_step(Tensor::zeros({6}, DType::bf16), g, m, v, {}); }),
             Equals("adamw_step: needs contiguous parameters of f64, f32 or f16, got [6] bf16"));
  CHECK_THAT(message([&] { adamw_step(p, g, m, v, {}, Tensor::zeros({6}, DType::f64)); }),
             Equals("adamw_step: a f64 copy of f32 parameters; f32 parameters can have one in bf16 or f16"));
  CHECK_THAT(message([&] { adamw_step(p, g, m, v, {}, Tensor::zeros({5}, DType::f16)); }),
             Equals("adamw_step: low must be contiguous with 6 elements of f16, got [5] f16"));
  CHECK_THAT(message([&] { nag_step(p, g, m, {.lr = 1, .previous_lr = NAN}); }),
             Equals("nag_step: previous_lr must be finite, got nan"));
  CHECK_THAT(message([&] { nag_step(p, g, short_one, {}); }),
             Equals("nag_step: buffer must be contiguous with 6 elements of f32, got [5] f32"));
  CHECK_THAT(message([&] { sgd_step(p, g, {}, {.lr = 1, .momentum = 0.9}); }),
             Equals("sgd_step: buffer must be contiguous with 6 elements of f32, got nothing"));
  CHECK_THAT(message([&] { sgd_step(p, g, {}, {.lr = -INFINITY}); }),
             Equals("sgd_step: lr must be finite, got -inf"));
  CHECK_THAT(message([&] { ema_step(p, g, 1.5); }), Equals("ema_step: decay must lie in [0, 1], got 1.5"));
  CHECK_THAT(message([&] { ema_step({}, g, 0.5); }),
             Equals("ema_step: needs a contiguous average of f64 or f32, got nothing"));
  CHECK_THAT(message([&] { ema_step(p, short_one, 0.5); }),
             Equals("ema_step: parameters must be contiguous with 6 elements of f32, got [5] f32"));
  CHECK_THAT(message([&] { convert(p, short_one); }),
             Equals("convert: needs two contiguous floating tensors of one size, got [6] f32 and [5] f32"));
  CHECK_THAT(message([&] { sum_of_squares({}); }),
             Equals("sum_of_squares: needs a contiguous floating tensor, got nothing"));
  const Tensor gaps = Tensor::zeros({6, 2}, DType::f32).slice(1, 0, 1);
  CHECK_THAT(
      message([&] { adamw_step(p, gaps, m, v, {}); }),
      Equals("adamw_step: gradients must be contiguous with 6 elements of f32, got a view [6, 1] with gaps"));
}
