// An op of one's own: forward, backward, and the check of the one against the other by finite differences.
//   squareplus: y = (x + sqrt(x^2 + 4)) / 2, a smooth relu       dx = dy (1 + x / sqrt(x^2 + 4)) / 2
#include <cmath>
#include <cstdio>

#include "engine/autograd/gradcheck.h"
#include "engine/ops/view.h"

using namespace engine;

struct SquareplusNode : NodeOf<SquareplusNode> {
  static constexpr const char* kName = "squareplus";
  Saved x;
  auto saved() { return std::tie(x); }

  void backward(Backward& b) override {
    const Tensor in = x.get(), dy = b.dy();
    const Into dx = b.into(0);
    for (int64_t i = 0; i < in.numel(); ++i) {
      const double v = in.data<double>()[i];
      const double g = dy.data<double>()[i] * (1 + v / std::sqrt(v * v + 4)) / 2;
      double& to = dx.buffer.data<double>()[i];
      to = dx.accumulate ? to + g : g;
    }
  }
};

Tensor squareplus(const Tensor& x) {
  check(x.dtype() == DType::f64, "squareplus: needs f64, got ", x.dtype());
  const Tensor in = contiguous(x);
  Tensor y = Tensor::empty(x.shape(), DType::f64);
  for (int64_t i = 0; i < in.numel(); ++i) {
    const double v = in.data<double>()[i];
    y.data<double>()[i] = (v + std::sqrt(v * v + 4)) / 2;
  }
  if (Tape* tape = recording({&in})) tape->record<SquareplusNode>({&in}, {&y}).x = in;
  return y;
}

int main() {
  const GradcheckResult result = gradcheck(
      [](const std::vector<Tensor>& t) { return std::vector{squareplus(squareplus(t[0]))}; },
      {Tensor::from({-3, -0.5, 0, 0.25, 4}, {5})});
  std::printf("squareplus: %lld elements, worst %.2g of what is allowed: %s\n", (long long)result.inputs[0].checked,
              result.inputs[0].worst, result.ok ? "agree" : result.text.c_str());
  return result.ok ? 0 : 1;
}
