// The code of docs/03-writing-an-op.md that is not head_scale's own, and the answers to its exercises.
// book_test.py compares the page with this file and with engine/ops/head_scale*.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/autograd/gradcheck.h"
#include "engine/cases/checks.h"
#include "engine/cpu/parallel.h"
#include "engine/ops/activation.h"
#include "engine/ops/head_scale.h"
#include "engine/ops/reduce.h"
#include "engine/ops/view.h"

using namespace engine;

namespace {

// y = log(1 + e^x)        dx = dy / (1 + e^-x)
struct SoftplusNode : NodeOf<SoftplusNode> {
  static constexpr const char* kName = "softplus";
  Saved x;
  auto saved() { return std::tie(x); }

  void backward(Backward& b) override {
    const Tensor in = x.get(), dy = b.dy();
    const Into dx = b.into(0);
    for (int64_t i = 0; i < in.numel(); ++i) {
      const double g = dy.data<double>()[i] / (1 + std::exp(-in.data<double>()[i]));
      double& to = dx.buffer.data<double>()[i];
      to = dx.accumulate ? to + g : g;
    }
  }
};

Tensor softplus(const Tensor& x) {
  check(x.dtype() == DType::f64, "softplus: needs f64, got ", x.dtype());
  const Tensor in = contiguous(x);
  Tensor y = Tensor::empty(x.shape(), DType::f64);
  for (int64_t i = 0; i < in.numel(); ++i) y.data<double>()[i] = std::log1p(std::exp(in.data<double>()[i]));
  if (Tape* tape = recording({&in})) tape->record<SoftplusNode>({&in}, {&y}).x = in;
  return y;
}

}  // namespace

TEST_CASE("page 3: gradcheck of an op of one's own") {
  const Tensor x = Tensor::from({-3, -0.5, 0, 0.25, 4}, {5});
  const GradcheckResult result =
      gradcheck([](const std::vector<Tensor>& t) { return std::vector{softplus(t[0])}; }, {x});
  INFO(result.text);
  CHECK(result.ok);
  CHECK(result.inputs[0].checked == 5);
}

TEST_CASE("page 3: a wrong backward is found") {
  const BackwardMutation mutation("softplus", 1.01);
  const GradcheckResult result = gradcheck(
      [](const std::vector<Tensor>& t) { return std::vector{softplus(t[0])}; }, {Tensor::from({1, 2}, {2})});
  CHECK(!result.ok);  // result.text: "input 0: 2 of 2 elements differ; worst at ..."
}

TEST_CASE("page 3: a row of the op table runs on its own") {
  std::vector<OpCase> cases;
  add_head_scale_cases(cases);
  for (const OpCase& c : cases) {
    INFO(c.name());
    CHECK(check_value(c).ok);
    CHECK(check_threads(c).ok);
  }
}

TEST_CASE("exercise 3.1: the gradient of a gain") {
  Tensor x = Tensor::from({1, 2, 3, 4}, {1, 4}), gain = Tensor::from({5, 6}, {2}), loss;
  Tape tape;
  {
    TapeScope scope(tape);
    tape.watch(gain);
    loss = sum_all(head_scale(x, gain));
  }
  tape.backward(loss);
  CHECK(tape.gradient(gain).to_vector() == std::vector<double>{3, 7});
}

TEST_CASE("exercise 3.2: how wrong a backward must be to be seen") {
  const auto passes_with = [](double factor) {
    const BackwardMutation mutation("head_scale", factor);
    return gradcheck([](const auto& t) { return std::vector{head_scale(t[0], t[1])}; },
                     {Tensor::from({1, 2, 3, 4}, {1, 4}), Tensor::from({0.5, 2}, {2})})
        .ok;
  };
  CHECK(!passes_with(1.0001));
  CHECK(passes_with(1.000001));
}

TEST_CASE("exercise 3.3: a corner") {
  const GradcheckResult result =
      gradcheck([](const auto& t) { return std::vector{activate(t[0], Activation::relu)}; },
                {Tensor::from({-1, 0, 1}, {3})});
  CHECK(result.ok);
  CHECK(result.inputs[0].kinks == 1);
}

TEST_CASE("exercise 3.4: one tensor as both inputs") {
  Tensor x = Tensor::from({3}, {1}), loss;
  Tape tape;
  {
    TapeScope scope(tape);
    tape.watch(x);
    loss = sum_all(head_scale(x, x));
  }
  tape.backward(loss);
  CHECK(tape.gradient(x).to_vector() == std::vector<double>{6});  // 2 x at 3
}

namespace {

/// The gradient of the one gain of 4,096 rows in f32, on so many threads.
std::vector<double> gain_gradient(int threads) {
  const int before = cpu::thread_count();
  cpu::set_thread_count(threads);
  std::vector<double> values(4096 * 8);
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(double(i));
  Tensor x = Tensor::from(values, {4096, 8}, DType::f32), gain = Tensor::full({1}, 2, DType::f32), loss;
  Tape tape;
  {
    TapeScope scope(tape);
    tape.watch(gain);
    loss = sum_all(head_scale(x, gain));
  }
  tape.backward(loss);
  cpu::set_thread_count(before);
  return tape.gradient(gain).to_vector();
}

}  // namespace

TEST_CASE("exercise 3.5: the order of a sum") {
  CHECK((1e8f + 1) - 1e8f == 0);
  CHECK((1e8f - 1e8f) + 1 == 1);
  CHECK(gain_gradient(1) == gain_gradient(3));
}
