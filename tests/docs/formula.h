// A backward formula of the pages, carried out as it is printed: held against central differences, and
// against the gradient of the engine's op. Used by the *formulas_test.cc.
#pragma once

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/autograd/gradcheck.h"
#include "engine/cases/case.h"
#include "largest_gap.h"

namespace formulas {

using namespace engine;

using Hosts = std::vector<HostTensor>;

/// y = forward(x...), and the gradients of all x from x, y and the gradient of y.
struct Formula {
  std::function<HostTensor(const Hosts& x)> forward;
  std::function<Hosts(const Hosts& x, const HostTensor& y, const HostTensor& dy)> backward;
};

inline Hosts hosts(const std::vector<Tensor>& tensors) {
  Hosts out;
  for (const Tensor& t : tensors) out.push_back(to_host(t));
  return out;
}

struct FormulaNode : NodeOf<FormulaNode> {
  static constexpr const char* kName = "formula";
  const Formula* formula = nullptr;
  std::vector<Tensor> x;
  Saved y;
  auto saved() { return std::tie(y); }

  void backward(Backward& b) override {
    const Hosts gradients = formula->backward(hosts(x), to_host(y.get()), to_host(b.dy()));
    for (size_t i = 0; i < x.size(); ++i) {
      if (!b.wants(int(i))) continue;
      const Into to = b.into(int(i));
      to.buffer.copy_from(Tensor::from(gradients[i].v, gradients[i].shape), to.accumulate);
    }
  }
};

inline Tensor apply(const Formula& formula, const std::vector<Tensor>& x) {
  const HostTensor value = formula.forward(hosts(x));
  Tensor y = Tensor::from(value.v, value.shape);
  std::vector<const Tensor*> inputs;
  for (const Tensor& t : x) inputs.push_back(&t);
  Tensor* outputs[] = {&y};
  if (Tape* tape = Tape::current()) {
    auto& node = tape->record<FormulaNode>(inputs, outputs);
    node.formula = &formula, node.y = y;
    for (const Tensor& t : x) node.x.push_back(t.detach());
  }
  return y;
}

/// Numbers around 0 that differ from call to call.
inline Tensor numbers(const Shape& shape, double seed) {
  std::vector<double> values(size_t(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = 1.5 * std::sin(seed + 1.7 * double(i));
  return Tensor::from(values, shape);
}

/// Value and gradients of sum <y, cotangent> by the tape.
inline std::pair<std::vector<double>, std::vector<std::vector<double>>> differentiate(const TensorFunction& f,
                                                                                      std::vector<Tensor> x) {
  Tape tape;
  Tensor y;
  {
    const TapeScope scope(tape);
    for (Tensor& t : x) tape.watch(t);
    y = f(x)[0];
  }
  const auto value = y.to_vector();
  tape.backward(std::vector{y}, std::vector{numbers(y.shape(), 0.3)});
  std::vector<std::vector<double>> gradients;
  for (const Tensor& t : x) gradients.push_back(tape.gradient(t).to_vector());
  return {value, gradients};
}

inline void check_formula(const Formula& formula, const std::vector<Tensor>& inputs,
                          const TensorFunction& ops) {
  const TensorFunction printed = [&](const std::vector<Tensor>& x) { return std::vector{apply(formula, x)}; };
  const GradcheckResult result = gradcheck(printed, inputs);
  INFO(result.text);
  CHECK(result.ok);
  const auto [value, gradients] = differentiate(printed, inputs);
  const auto [op_value, op_gradients] = differentiate(ops, inputs);
  CHECK(largest_gap(value, op_value) < 1e-12);
  for (size_t i = 0; i < inputs.size(); ++i) {
    INFO("gradient of input " << i);
    CHECK(largest_gap(gradients[i], op_gradients[i]) < 1e-10);
  }
}

inline HostTensor like(const HostTensor& x) { return HostTensor(x.shape); }

inline double mean_of_row(const HostTensor& x, int64_t r) {
  double sum = 0;
  for (int64_t i = 0; i < x.size(-1); ++i) sum += x.row(r)[i];
  return sum / double(x.size(-1));
}

constexpr double kEps = 1e-5;

}  // namespace formulas
