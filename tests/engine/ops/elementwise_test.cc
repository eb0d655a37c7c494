// What the op table cannot say of elementwise ops: mixed dtypes, dropout's randomness, messages.
#include "engine/ops/elementwise.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "engine/ops/reduce.h"

using namespace engine;

namespace {
Tensor zeros(const Shape& shape, DType dtype = DType::f32) { return Tensor::zeros(shape, dtype); }
}  // namespace

TEST_CASE("operands of different dtypes give the wider one, and each gradient has its operand's dtype") {
  Tensor a = Tensor::from({1.5, -2, 3}, {3}, DType::bf16), b = Tensor::from({4, 5, 6}, {3}, DType::f32);
  Tape tape;
  Tensor y;
  {
    const TapeScope scope(tape);
    tape.watch(a), tape.watch(b);
    y = mul(a, b);
  }
  CHECK(y.dtype() == DType::f32);
  CHECK(y.to_vector() == std::vector<double>{6, -10, 18});
  const Tensor ones = Tensor::full({3}, 1, DType::f32);
  tape.backward(std::span(&y, 1), std::span(&ones, 1));
  CHECK(tape.gradient(a).dtype() == DType::bf16);
  CHECK(tape.gradient(a).to_vector() == std::vector<double>{4, 5, 6});
  CHECK(tape.gradient(b).to_vector() == std::vector<double>{1.5, -2, 3});
}

TEST_CASE("the gradient of a bf16 parameter goes to its f32 gradient buffer") {
  Parameter gain{.name = "gain",
                 .value = Tensor::from({2, 3}, {2}, DType::f32),
                 .compute = Tensor::from({2, 3}, {2}, DType::bf16),
                 .grad = zeros({2})};
  Tape tape;
  Tensor y;
  {
    const TapeScope scope(tape);
    y = mul(Tensor::from({1, 10, 100, 1000}, {2, 2}, DType::bf16), use(gain));
    y = add(y, use(gain));
  }
  const Tensor ones = Tensor::full({2, 2}, 1, DType::bf16);
  tape.backward(std::span(&y, 1), std::span(&ones, 1));
  CHECK(gain.grad.to_vector()[0] == Approx(103).epsilon(1e-3));
  CHECK(gain.grad.to_vector()[1] == Approx(1012).epsilon(2e-3));
}

TEST_CASE("the gradient of an operand stretched along two axes is rounded once") {
  Parameter bias{
      .name = "bias", .value = zeros({2, 1}), .compute = zeros({2, 1}, DType::bf16), .grad = zeros({2, 1})};
  Tape tape;
  Tensor y;
  {
    const TapeScope scope(tape);
    y = add(zeros({259, 2, 3}, DType::bf16), use(bias));
  }
  const Tensor ones = Tensor::full({259, 2, 3}, 1, DType::bf16);
  tape.backward(std::span(&y, 1), std::span(&ones, 1));
  CHECK(bias.grad.to_vector() ==
        std::vector<double>{777, 777});  // 780 by way of 260, which bf16 makes of 259
}

TEST_CASE("adding a tensor to itself gives both gradients") {
  Tensor x = Tensor::from({1, 2}, {2});
  Tape tape;
  Tensor y;
  {
    const TapeScope scope(tape);
    tape.watch(x);
    y = sum_all(add(x, x));
  }
  tape.backward(y);
  CHECK(tape.gradient(x).to_vector() == std::vector<double>{2, 2});
}

TEST_CASE("a cast rounds once, and its gradient is cast back") {
  Tensor x = Tensor::from({1, 1.00390625, 70000, -3}, {2, 2}, DType::f32);
  Tape tape;
  Tensor y;
  {
    const TapeScope scope(tape);
    tape.watch(x);
    y = cast(x, DType::f16);
    CHECK(cast(x, DType::f32).raw() == x.raw());
  }
  CHECK(y.to_vector() == std::vector<double>{1, 1.00390625, INFINITY, -3});
  CHECK(cast(x, DType::bf16).to_vector() == std::vector<double>{1, 1, 70144, -3});
  const Tensor dy = Tensor::from({1, 2, 3, 4}, {2, 2}, DType::f16);
  tape.backward(std::span(&y, 1), std::span(&dy, 1));
  CHECK(tape.gradient(x).dtype() == DType::f32);
  CHECK(tape.gradient(x).to_vector() == std::vector<double>{1, 2, 3, 4});
}

TEST_CASE("dropout keeps its share, repeats by offset, and advances the generator") {
  Rng rng{7, 0}, again{7, 0};
  const Tensor ones = Tensor::full({100'003}, 1, DType::f32);
  const auto y = dropout(ones, 0.3, rng).to_vector();
  double kept = 0;
  for (double v : y) {
    CHECK((v == 0 || v == double(float(1 / 0.7))));
    kept += v != 0;
  }
  CHECK(kept / double(y.size()) == Approx(0.7).margin(0.006));  // four standard deviations
  CHECK(rng.offset == 25'001);
  CHECK(dropout(ones, 0.3, again).to_vector() == y);
  CHECK(dropout(ones, 0.3, rng).to_vector() != y);
}

TEST_CASE("dropout with probability 0 returns its input") {
  Rng rng{7, 3};
  const Tensor x = zeros({4});
  CHECK(dropout(x, 0, rng).raw() == x.raw());
  CHECK(rng.offset == 3);
}

TEST_CASE("a square root is the correctly rounded one wherever its element stands") {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const DType dtype : {DType::f32, DType::f64})
    for (const double x : {0.0, 2.0, 3.0, 1e30, infinity}) {
      const Tensor y = sqrt(Tensor::full({37}, x, dtype));  // packets and what is left
      const double expected = dtype == DType::f32 ? double(std::sqrt(float(x))) : std::sqrt(x);
      INFO(dtype << " " << x);
      CHECK(y.to_vector() == std::vector<double>(37, expected));
    }
}

TEST_CASE("the gradient of a quotient by its divisor overflows only where it is that large") {
  for (const double size : {1e-20, 1e20}) {
    Tensor a = Tensor::full({3}, size, DType::f32), b = Tensor::full({3}, size, DType::f32);
    Tape tape;
    Tensor y;
    {
      const TapeScope scope(tape);
      tape.watch(b);
      y = sum_all(div(a, b));
    }
    tape.backward(y);
    for (const double g : tape.gradient(b).to_vector()) CHECK(g == Approx(-1 / size));
  }
}

TEST_CASE("elementwise ops refuse what they cannot take") {
  const Tensor ids = Tensor::from_ids({1}, {1}), x = zeros({2, 3});
  Rng rng;
  CHECK_THROWS_WITH(add(x, ids), "add: needs floating operands, got f32 and i32");
  CHECK_THROWS_WITH(mul(zeros({1}, DType::bf16), zeros({1}, DType::f16)),
                    "mul: no common dtype for bf16 and f16; cast one of them");
  CHECK_THROWS_WITH(sub(x, zeros({2})), "sub: shapes [2, 3] and [2] do not fit: axes must be equal or 1");
  CHECK_THROWS_WITH(div(zeros({0}), zeros({2})),
                    "div: shapes [0] and [2] do not fit: axes must be equal or 1");
  CHECK_THROWS_WITH(exp(ids), "exp: needs a floating input, got i32");
  CHECK_THROWS_WITH(affine(ids, 1), "affine: needs a floating input, got i32");
  CHECK_THROWS_WITH(softcap(x, 0), "softcap: the cap must be positive, got 0");
  CHECK_THROWS_WITH(softcap(x, NAN), "softcap: the cap must be positive, got nan");
  CHECK_THROWS_WITH(cast(x, DType::i32), "cast: needs floating dtypes, got f32 to i32");
  CHECK_THROWS_WITH(dropout(ids, 0.1, rng), "dropout: needs a floating input, got i32");
  CHECK_THROWS_WITH(dropout(x, 1, rng), "dropout: the probability must be in [0, 1), got 1");
  CHECK_THROWS_WITH(dropout(x, NAN, rng), "dropout: the probability must be in [0, 1), got nan");
}
