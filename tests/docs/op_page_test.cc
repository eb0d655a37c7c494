// The code of docs/03-writing-an-op.md that is not head_scale's own. tests/lint/docs_test.cc compares the
// page with this file and with engine/ops/head_scale*.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/autograd/gradcheck.h"
#include "engine/cases/checks.h"
#include "engine/ops/head_scale.h"
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
