// Losses beyond the op table: messages, chunks, arenas, upstream gradients.
#include "engine/ops/loss.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/autograd/checkpoint.h"
#include "largest_gap.h"

using namespace engine;

namespace {
Tensor normal(const Shape& shape, uint64_t seed, DType dtype = DType::f64) {
  Rng rng{seed};
  std::vector<double> values(size_t(shape.numel()));
  for (double& value : values) value = rng.normal();
  return Tensor::from(values, shape, dtype);
}
Parameter parameter(const Shape& shape, uint64_t seed, DType dtype = DType::f64) {
  Parameter p;
  p.value = p.compute = normal(shape, seed, dtype);
  p.grad = Tensor::full(shape, 7, compute_dtype(dtype));
  return p;
}
}  // namespace

TEST_CASE("losses explain what is wrong with their inputs") {
  const Tensor z = normal({2, 3}, 1), w = normal({3, 3}, 2), ids = Tensor::from_ids({0, 2}, {2});
  CHECK_THROWS_WITH(cross_entropy(ids, ids), "cross_entropy: needs floating logits [..., V], got i32 [2]");
  CHECK_THROWS_WITH(cross_entropy(z, z), "cross_entropy: labels must be i32, got f64");
  CHECK_THROWS_WITH(cross_entropy(z, Tensor::from_ids({1}, {1})), "cross_entropy: needs labels [2], got [1]");
  CHECK_THROWS_WITH(cross_entropy(z, Tensor::from_ids({-100, 3}, {2})),
                    "cross_entropy: label 3 at position 1 is outside [0, 3) and not -100");
  CHECK_THROWS_WITH(linear_cross_entropy(z, normal({3, 3}, 2, DType::f32), {}, ids),
                    "linear_cross_entropy: x and weight need one floating dtype, got f64 and f32");
  CHECK_THROWS_WITH(linear_cross_entropy(z, normal({3, 4}, 2), {}, ids),
                    "linear_cross_entropy: weight [3, 4] needs input last dim 4, got [2, 3]");
  CHECK_THROWS_WITH(linear_cross_entropy(z, w, normal({2}, 2), ids),
                    "linear_cross_entropy: bias must be f64 [3], got f64 [2]");
  CHECK_THROWS_WITH(linear_cross_entropy(z, w, {}, ids, {.vocabulary = 4}),
                    "linear_cross_entropy: vocabulary 4 of a weight [3, 3]");
  CHECK_THROWS_WITH(linear_cross_entropy(z, w, {}, ids, {.vocabulary = 2}),
                    "linear_cross_entropy: label 2 at position 1 is outside [0, 2) and not -100");
  CHECK_THROWS_WITH(linear_cross_entropy(z, w, {}, ids, {.loss_scale = 0}),
                    "linear_cross_entropy: needs softcap >= 0 and loss_scale > 0, got 0 and 0");
  CHECK_THROWS_WITH(
      squared_error(z, w),
      "squared_error: needs x and target of one shape and floating dtype, got f64 [2, 3] and f64 [3, 3]");
  Tensor x = z.detach();
  Tape tape;
  const TapeScope scope(tape);
  tape.watch(x);
  CHECK_THROWS_WITH(
      checkpoint([&](const auto& t) { return std::vector{linear_cross_entropy(t[0], w, {}, ids)}; }, {x}),
      "linear_cross_entropy: forms its gradient in the forward pass, so it cannot run inside a "
      "checkpointed segment");
}

TEST_CASE("linear_cross_entropy accepts no upstream gradient but 1") {
  Tensor x = normal({2, 3}, 1), loss;
  Tape tape;
  {
    const TapeScope scope(tape);
    tape.watch(x);
    loss = linear_cross_entropy(x, normal({4, 3}, 2), {}, Tensor::from_ids({0, 3}, {2}));
  }
  const Tensor two = Tensor::full({}, 2, DType::f64);
  CHECK_THROWS_WITH(tape.backward(std::span(&loss, 1), std::span(&two, 1)),
                    "linear_cross_entropy: its upstream gradient must be 1, got 2 (scale with loss_scale)");
}

TEST_CASE("cross_entropy multiplies its gradient by the upstream one") {
  Tensor z = normal({2, 3}, 1), loss;
  const auto gradient = [&](double upstream) {
    Tape tape;
    const TapeScope scope(tape);
    tape.watch(z);
    loss = cross_entropy(z, Tensor::from_ids({1, 0}, {2}));
    const Tensor c = Tensor::full({}, upstream, DType::f64);
    tape.backward(std::span(&loss, 1), std::span(&c, 1));
    return tape.gradient(z).to_vector();
  };
  const std::vector<double> one = gradient(1), three = gradient(3);
  for (size_t i = 0; i < one.size(); ++i) CHECK(three[i] == Approx(3 * one[i]));
}

TEST_CASE("the f32 cross entropy of a label that is nearly certain keeps its digits") {
  for (const double gap : {2.0, 10.0, 20.0}) {
    const Tensor z = Tensor::from({20 + gap, 20, 19}, {1, 3}, DType::f32);
    const double expected = std::log1p(std::exp(-gap) + std::exp(-gap - 1));
    INFO(gap);
    CHECK(cross_entropy(z, Tensor::from_ids({0}, {1})).item() == Approx(expected).epsilon(1e-6));
  }
}

TEST_CASE("linear_cross_entropy over several chunks, into an arena, scaled: the composed gradients") {
  // 2^18 classes make a chunk of 64 rows; 150 rows, a third of them not scored, make two.
  const int64_t rows = 150, classes = 1 << 18, width = 2;
  std::vector<int32_t> ids;
  for (int64_t r = 0; r < rows; ++r) ids.push_back(r % 3 == 1 ? kNotScored : int32_t(r * 1009 % classes));
  const Tensor labels = Tensor::from_ids(ids, {rows});
  Parameter weight = parameter({classes, width}, 1, DType::f32);
  Tensor x = normal({rows, width}, 2, DType::f32), loss;
  for (const bool written : {false, true}) {
    weight.grad.fill(7);
    weight.grad_written = written;
    Tape tape;
    {
      const TapeScope scope(tape);
      tape.watch(x);
      loss = linear_cross_entropy(x, use(weight), {}, labels, {.loss_scale = 4});
    }
    tape.backward(loss);
    const std::vector<double> dw = weight.grad.to_vector(), dx = tape.gradient(x).to_vector(),
                              xs = x.to_vector(), w = weight.value.to_vector();
    double expected_loss = 0, dx_error = 0, dw_error = 0;
    std::vector<double> expected_dw(dw.size(), written ? 7 : 0), z(static_cast<size_t>(classes), 0.0);
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0, expected_dx[2] = {};
      for (size_t j = 0; j < z.size(); ++j)
        sum += z[j] = std::exp(xs[size_t(r) * 2] * w[j * 2] + xs[size_t(r) * 2 + 1] * w[j * 2 + 1]);
      if (ids[size_t(r)] != kNotScored) {
        expected_loss += std::log(sum / z[size_t(ids[size_t(r)])]);
        for (size_t j = 0; j < z.size(); ++j) {
          const double g = 4 * (z[j] / sum - (int64_t(j) == ids[size_t(r)]));
          for (size_t i = 0; i < 2; ++i)
            expected_dx[i] += g * w[j * 2 + i], expected_dw[j * 2 + i] += g * xs[size_t(r) * 2 + i];
        }
      }
      for (size_t i = 0; i < 2; ++i) dx_error = larger(dx_error, dx[size_t(r) * 2 + i] - expected_dx[i]);
    }
    for (size_t i = 0; i < dw.size(); ++i) dw_error = larger(dw_error, dw[i] - expected_dw[i]);
    CHECK(loss.item() == Approx(expected_loss).epsilon(1e-6));
    CHECK(dx_error < 3e-5);  // f32 sums of 2^18 terms, up to 20 in size
    CHECK(dw_error < 2e-5);
  }
}

TEST_CASE("linear_cross_entropy gives zero gradients when no row is scored") {
  Parameter weight = parameter({4, 3}, 1);
  Tensor x = normal({2, 3}, 2), loss;
  Tape tape;
  {
    const TapeScope scope(tape);
    tape.watch(x);
    loss = linear_cross_entropy(x, use(weight), {}, Tensor::full({2}, kNotScored, DType::i32));
  }
  tape.backward(loss);
  CHECK(loss.item() == 0);
  CHECK(largest_gap(weight.grad, Tensor::zeros({4, 3}, DType::f64)) == 0);
  CHECK(largest_gap(tape.gradient(x), Tensor::zeros({2, 3}, DType::f64)) == 0);
}

TEST_CASE("linear_cross_entropy keeps no logits") {
  Tensor x = normal({64, 8}, 1, DType::f32), w = normal({5000, 8}, 2, DType::f32);
  Tape tape;
  const TapeScope scope(tape);
  tape.watch(x);
  linear_cross_entropy(x, w, {}, Tensor::full({64}, 3, DType::i32));
  CHECK(tape.saved_bytes() == x.bytes());
}
