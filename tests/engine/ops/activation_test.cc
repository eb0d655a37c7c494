// What the op table cannot say of activations: precision in the tails, NaN and infinities, messages.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "engine/ops/activation.h"
#include "largest_gap.h"

using namespace engine;
using Catch::Matchers::Contains;

namespace {
// Largest error of the f32 value relative to f64's, over [low, high].
double worst_relative_error(Activation act, double low, double high) {
  std::vector<double> x(100'003);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = float(low + (high - low) * double(i) / double(x.size() - 1));  // exact in both
  const Shape shape = {int64_t(x.size())};
  const auto f32 = activate(Tensor::from(x, shape, DType::f32), act).to_vector();
  const auto f64 = activate(Tensor::from(x, shape), act).to_vector();
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i)
    if (std::fabs(f64[i]) > 1e-37) worst = larger(worst, (f32[i] - f64[i]) / f64[i]);
  return worst;
}
Tensor values(const std::vector<double>& x, DType dtype) {
  return Tensor::from(x, {int64_t(x.size())}, dtype);
}
}  // namespace

TEST_CASE("f32 activations keep their relative precision in the tails") {
  CHECK(worst_relative_error(Activation::gelu, -12.9, 20) < 1e-6);
  CHECK(worst_relative_error(Activation::gelu_tanh, -4, 20) < 3e-6);
  CHECK(worst_relative_error(Activation::gelu_tanh, -10, -4) <
        2e-5);  // the exponent, up to 87, is rounded once
  CHECK(worst_relative_error(Activation::silu, -80, 80) < 1e-6);
  CHECK(worst_relative_error(Activation::sigmoid, -80, 80) < 1e-6);
  CHECK(worst_relative_error(Activation::tanh, -12, 12) < 1e-6);
}

TEST_CASE("activations pass NaN on and saturate at large values, with finite slopes") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16})
    for (Activation act : {Activation::gelu, Activation::gelu_tanh, Activation::relu, Activation::relu2,
                           Activation::silu, Activation::tanh, Activation::sigmoid}) {
      INFO(name_of(act) << " in " << dtype);
      CHECK(std::isnan(activate(values({nan}, dtype), act).item()));
      Tensor x = values({-250, -60, 60, 250}, dtype);
      Tape tape;
      Tensor y;
      {
        const TapeScope scope(tape);
        tape.watch(x);
        y = activate(x, act);
      }
      CHECK(std::fabs(y.to_vector()[0]) < 1.01);
      const Tensor ones = Tensor::full({4}, 1, dtype);
      tape.backward(std::span(&y, 1), std::span(&ones, 1));
      for (double slope : tape.gradient(x).to_vector()) CHECK(std::isfinite(slope));
    }
  CHECK(activate(values({INFINITY}, DType::f32), Activation::gelu).item() == INFINITY);
}

TEST_CASE("glu of one tensor with itself adds both gradients") {
  Tensor x = values({-1.5, 0.25, 2}, DType::f64);
  Tape tape;
  Tensor y;
  {
    const TapeScope scope(tape);
    tape.watch(x);
    y = glu(x, x, Activation::identity);
  }
  const Tensor ones = Tensor::full({3}, 1, DType::f64);
  tape.backward(std::span(&y, 1), std::span(&ones, 1));
  CHECK(tape.gradient(x).to_vector() == std::vector<double>{-3, 0.5, 4});
}

TEST_CASE("activations refuse what they cannot take") {
  const Tensor ids = Tensor::from_ids({1, 2}, {2}), x = values({1, 2}, DType::f32);
  CHECK_THROWS_WITH(activate(ids, Activation::gelu), "gelu: needs a floating input, got i32");
  CHECK_THROWS_WITH(glu(x, values({1, 2}, DType::bf16), Activation::silu),
                    "glu: needs floating inputs of one dtype, got f32 and bf16");
  CHECK_THROWS_WITH(glu(ids, ids, Activation::silu),
                    "glu: needs floating inputs of one dtype, got i32 and i32");
  CHECK_THROWS_WITH(glu(x, values({1, 2, 3}, DType::f32), Activation::silu),
                    "glu: gate [2] and up [3] must be equal");
}
