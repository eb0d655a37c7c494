// One tensor as several inputs of an op: the gradients of all of them add up in one slot of the tape.
#include <catch2/catch.hpp>

#include "engine/autograd/gradcheck.h"
#include "engine/ops/activation.h"
#include "engine/ops/attention.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/head_scale.h"
#include "engine/ops/linear.h"
#include "engine/ops/loss.h"
#include "engine/ops/norm.h"
#include "engine/ops/view.h"

using namespace engine;

namespace {

void check_op(const char* name, const Shape& shape, const std::function<Tensor(const Tensor&)>& op) {
  std::vector<double> values(size_t(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = 0.5 + 0.25 * double(i % 7);
  const GradcheckResult result =
      gradcheck([&](const auto& t) { return std::vector{op(t[0])}; }, {Tensor::from(values, shape)});
  INFO(name << ": " << result.text);
  CHECK(result.ok);
  CHECK(result.inputs[0].checked == shape.numel());
}

}  // namespace

TEST_CASE("one tensor as several inputs") {
  check_op("mul", {5}, [](const Tensor& x) { return mul(x, x); });
  check_op("div", {5}, [](const Tensor& x) { return div(x, affine(x, 2, 1)); });
  check_op("head_scale", {5}, [](const Tensor& x) { return head_scale(x, x); });
  check_op("glu", {5}, [](const Tensor& x) { return glu(x, x, Activation::silu); });
  check_op("linear", {3, 3}, [](const Tensor& x) { return linear(x, x); });
  check_op("linear with residual", {3, 3}, [](const Tensor& x) { return linear(x, x, {}, {.residual = x}); });
  check_op("matmul", {3, 3}, [](const Tensor& x) { return matmul(x, x); });
  check_op("matmul with its transpose", {3, 3},
           [](const Tensor& x) { return matmul(x, x, Transpose::no, Transpose::yes); });
  check_op("concat", {2, 2}, [](const Tensor& x) { return concat({x, x}, 0); });
  check_op("attention", {1, 4, 3}, [](const Tensor& x) { return attention(x, x, x, {.causal = true}); });
  check_op("norm", {5}, [](const Tensor& x) { return norm(x, {.weight = x, .bias = x}, DType::f64); });
  check_op("residual_add", {5}, [](const Tensor& x) {
    return residual_add(x, x, {.res = {.learned = x}, .branch = {.learned = x}});
  });
  check_op("squared_error", {5}, [](const Tensor& x) { return squared_error(x, mul(x, x)); });
}
