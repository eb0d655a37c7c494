// What the op table cannot show of norm.h: messages, mixed dtypes, large means, shared and missing gradients.
#include "engine/ops/norm.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/ops/view.h"
#include "largest_gap.h"
#include "wide_work_scope.h"

using namespace engine;
using Catch::Matchers::Equals;

namespace {

Tensor normal(const Shape& shape, DType dtype, uint64_t seed, double mean = 0) {
  Rng rng{seed};
  std::vector<double> values(size_t(shape.numel()));
  for (double& v : values) v = mean + rng.normal();
  return Tensor::from(values, shape, dtype);
}
Tensor as(const Tensor& t, DType dtype) { return Tensor::from(t.to_vector(), t.shape(), dtype); }
Tensor ones(int64_t n, DType dtype = DType::f32) { return Tensor::full({n}, 1, dtype); }

void check_same(const Tensor& a, const Tensor& b) {
  CHECK(a.dtype() == b.dtype());
  CHECK(a.to_vector() == b.to_vector());
}

// Gradients of sum <outputs, cotangents> for inputs[i], all watched.
template <class F>
std::vector<Tensor> gradients(std::vector<Tensor> inputs, F f) {
  Tape tape;
  std::vector<Tensor> outputs, cotangents;
  {
    const TapeScope scope(tape);
    for (Tensor& x : inputs) tape.watch(x);
    outputs = f(inputs);
  }
  for (const Tensor& y : outputs) cotangents.push_back(normal(y.shape(), y.dtype(), 77));
  tape.backward(outputs, cotangents);
  std::vector<Tensor> result;
  for (const Tensor& x : inputs) result.push_back(tape.gradient(x));
  return result;
}

}  // namespace

TEST_CASE("rows far from zero keep their digits") {
  const int64_t n = 768;
  const Tensor x = normal({4, n}, DType::f32, 3, 1e4), exact = as(x, DType::f64);
  const Tensor truth = norm(exact, {.weight = ones(n, DType::f64)}, DType::f64);
  for (const int64_t small : {wide_work(Device::cpu), int64_t(0)}) {
    const WideWorkScope scope(small);
    const Tensor y = norm(x, {.weight = ones(n)}, DType::f32);
    CHECK(largest_gap(y, truth) < 1e-6);  // with a mean in f32, 1e-3: its spacing at 1e4
  }
  const Tensor constant = norm(Tensor::full({1, n}, 1e4, DType::f32), {.weight = ones(n)}, DType::f32);
  for (double v : constant.to_vector()) CHECK(std::abs(v) < 1e-2);
}

TEST_CASE("no error of the statistics shows in all of an f32 row") {
  if (cpu::isa() == cpu::Isa::base) return;  // plain x86-64 has no fused multiply-add: the rest is lost
  const int64_t rows = 32, n = 768;
  const Tensor x = normal({rows, n}, DType::f32, 5, 3);
  const std::vector<double> truth =
      norm(as(x, DType::f64), {.weight = ones(n, DType::f64)}, DType::f64).to_vector();
  const WideWorkScope none(0);
  const std::vector<double> y = norm(x, {.weight = ones(n)}, DType::f32).to_vector();
  for (size_t r = 0; r < size_t(rows); ++r) {
    double shift = 0, stretch = 0;
    for (size_t i = r * size_t(n); i < (r + 1) * size_t(n); ++i) {
      shift += (y[i] - truth[i]) / double(n);
      stretch += (y[i] - truth[i]) * truth[i] / double(n);
    }
    CHECK(std::abs(shift) < 1e-8);    // the elements' own rounding is 4e-8; a mean or 1/deviation in f32 is
    CHECK(std::abs(stretch) < 1e-8);  // off by up to 1e-7 or 6e-8
  }
}

TEST_CASE("a small f32 norm is rounded once") {
  const int64_t n = 24;
  const Tensor x = normal({5, n}, DType::f32, 1), weight = normal({n}, DType::f32, 2),
               bias = normal({n}, DType::f32, 3), alpha = Tensor::full({}, 0.75, DType::f32);
  for (const NormKind kind : {NormKind::ln, NormKind::rms, NormKind::l2, NormKind::dyt}) {
    const auto run = [&](DType dtype) {
      NormArguments a{.kind = kind, .weight = as(weight, dtype), .bias = as(bias, dtype)};
      if (kind == NormKind::dyt) a.alpha = as(alpha, dtype);
      return norm(as(x, dtype), a, dtype);
    };
    const std::vector<double> rounded = as(run(DType::f64), DType::f32).to_vector();
    CHECK(run(DType::f32).to_vector() == rounded);
    const WideWorkScope none(0);
    CHECK(run(DType::f32).to_vector() != rounded);
  }
}

TEST_CASE("norms go between f32 and 16 bits, rounded once") {
  const DType low = GENERATE(DType::bf16, DType::f16);
  const Tensor x = normal({5, 24}, DType::f32, 1), x_low = as(x, low), w = normal({12}, DType::f32, 2);
  const NormArguments a{.kind = NormKind::rms, .weight = w, .groups = 2};
  check_same(norm(x, a, low), as(norm(x, a, DType::f32), low));
  check_same(norm(x_low, a, DType::f32), norm(as(x_low, DType::f32), a, DType::f32));

  const auto of = [&](DType out) {
    return [=](const std::vector<Tensor>& t) {
      return std::vector{norm(t[0], {.kind = NormKind::rms, .weight = t[1], .groups = 2}, out)};
    };
  };
  const auto mixed = gradients({x_low, w}, of(DType::f32));
  const auto plain = gradients({as(x_low, DType::f32), w}, of(DType::f32));
  check_same(mixed[0], as(plain[0], low));
  check_same(mixed[1], plain[1]);
  CHECK(gradients({x, w}, of(low))[0].dtype() == DType::f32);
}

TEST_CASE("the fused join and norm give the bits of residual_add, then norm") {
  const DType stream_dtype = GENERATE(DType::f32, DType::bf16), dtype = GENERATE(DType::f32, DType::bf16);
  const bool plain = GENERATE(true, false);
  const Tensor stream = normal({6, 40}, stream_dtype, 1), o = normal({6, 40}, DType::bf16, 2),
               res = normal({40}, DType::f32, 3), branch = normal({}, DType::f32, 4),
               w = normal({40}, DType::f32, 5), bias = normal({40}, DType::f32, 6);
  const auto join = [plain](const std::vector<Tensor>& t, Rng& rng) {
    ResidualJoin j;
    if (!plain) j.res.learned = t[2], j.branch.learned = t[3], j.dropout = 0.4, j.rng = &rng;
    return j;
  };
  const auto fused = [=](const std::vector<Tensor>& t) {
    Rng rng{9};
    const auto [sum, normed] =
        residual_add_norm(t[0], t[1], join(t, rng), {.weight = t[4], .bias = t[5]}, dtype);
    return std::vector{sum, normed};
  };
  const auto two_ops = [=](const std::vector<Tensor>& t) {
    Rng rng{9};
    const Tensor sum = residual_add(t[0], t[1], join(t, rng));
    return std::vector{sum, norm(sum, {.weight = t[4], .bias = t[5]}, dtype)};
  };
  const std::vector<Tensor> inputs = {stream, o, res, branch, w, bias};
  check_same(fused(inputs)[0], two_ops(inputs)[0]);
  check_same(fused(inputs)[1], two_ops(inputs)[1]);
  const auto a = gradients(inputs, fused), b = gradients(inputs, two_ops);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (plain && (i == 2 || i == 3)) continue;  // not used
    INFO("input " << i);
    // Two ops round the gradient of a bf16 stream once more in between.
    CHECK(largest_gap(a[i], b[i]) <= (stream_dtype == DType::bf16 || i == 1 ? 0.1 : 2e-5));
  }
}

TEST_CASE("one tensor as stream and branch gets both gradients") {
  const auto f = [](const std::vector<Tensor>& t) {
    return std::vector{residual_add(t[0], t[0], {.res = {.constant = 2}, .branch = {.constant = 0.5}})};
  };
  const Tensor x = normal({3, 5}, DType::f64, 1);
  const Tensor dy = normal({3, 5}, DType::f64, 77), dx = gradients({x}, f)[0];
  for (size_t i = 0; i < 15; ++i) CHECK(dx.to_vector()[i] == Approx(2.5 * dy.to_vector()[i]));
}

TEST_CASE("a plain join shares one gradient between stream and branch, and nobody spoils it") {
  // x is read again after the join: its gradient adds to what it shares with o.
  const auto f = [](const std::vector<Tensor>& t) {
    const Tensor again = residual_add(t[0], t[2], {.res = {.constant = 3}});
    const auto [sum, normed] =
        residual_add_norm(t[0], t[1], {}, {.kind = NormKind::rms, .weight = t[3]}, DType::f64);
    return std::vector{again, sum, normed};
  };
  const auto d = gradients({normal({2, 4}, DType::f64, 1), normal({2, 4}, DType::f64, 2),
                            normal({2, 4}, DType::f64, 3), ones(4, DType::f64)},
                           f);
  const Tensor dy = normal({2, 4}, DType::f64, 77);
  for (size_t i = 0; i < 8; ++i)
    CHECK(d[0].to_vector()[i] == Approx(d[1].to_vector()[i] + 3 * dy.to_vector()[i]));
}

TEST_CASE("per-head norms of a slice form their gradient inside the wider tensor") {
  const Tensor x = normal({4, 36}, DType::f64, 1), w = normal({6}, DType::f64, 2);
  const auto of_slice = [](const std::vector<Tensor>& t) {
    const auto parts = split(t[0], -1, {12, 12, 12});
    return std::vector{norm(parts[1], {.kind = NormKind::rms, .weight = t[1], .groups = 2}, DType::f64)};
  };
  const auto of_copy = [](const std::vector<Tensor>& t) {
    return std::vector{norm(t[0], {.kind = NormKind::rms, .weight = t[1], .groups = 2}, DType::f64)};
  };
  const auto wide = gradients({x, w}, of_slice);
  const auto narrow = gradients({Tensor::from(x.slice(1, 12, 24).to_vector(), {4, 12}), w}, of_copy);
  CHECK(wide[0].slice(1, 12, 24).to_vector() == narrow[0].to_vector());
  for (double v : wide[0].slice(1, 0, 12).to_vector()) CHECK(v == 0);
  check_same(wide[1], narrow[1]);
}

TEST_CASE("a parameter's gradient lands in its buffer's dtype") {
  const Tensor x = normal({50, 8}, DType::f32, 1), w = normal({8}, DType::f32, 2);
  const Tensor exact = gradients(
      {x, w}, [](const auto& t) { return std::vector{norm(t[0], {.weight = t[1]}, DType::f32)}; })[1];
  Parameter p{.name = "w", .value = w, .compute = w, .grad = Tensor::empty({8}, DType::f16)};
  for (int pass = 1; pass <= 2; ++pass) {  // the second adds to the first
    Tape tape;
    Tensor y;
    {
      const TapeScope scope(tape);
      y = norm(x, {.weight = use(p)}, DType::f32);
    }
    const Tensor dy = normal(y.shape(), DType::f32, 77);
    tape.backward(std::span(&y, 1), std::span(&dy, 1));
    for (size_t i = 0; i < 8; ++i)
      CHECK(p.grad.to_vector()[i] == Approx(pass * exact.to_vector()[i]).epsilon(2e-3).margin(2e-3));
  }
}

TEST_CASE("norm says what is wrong") {
  const Tensor x = Tensor::zeros({2, 6}, DType::f32), w = ones(6);
  const auto message = [&](const Tensor& in, const NormArguments& a,
                           DType dtype = DType::f32) -> std::string {
    try {
      norm(in, a, dtype);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  CHECK_THAT(message(Tensor::from_ids({1}, {1}), {.weight = w}),
             Equals("norm: needs a floating input, got i32"));
  CHECK_THAT(message(Tensor::zeros({}, DType::f32), {.weight = w}),
             Equals("norm: needs input [..., channels] with channels > 0, got []"));
  CHECK_THAT(message(Tensor::zeros({3, 0}, DType::f32), {.weight = w}),
             Equals("norm: needs input [..., channels] with channels > 0, got [3, 0]"));
  CHECK_THAT(message(x, {.kind = NormKind::none, .weight = w}),
             Equals("norm: kind none has no norm to apply"));
  CHECK_THAT(
      message(x, {.weight = w}, DType::f64),
      Equals(
          "norm: cannot go from f32 to f64; the dtypes are equal or one is f32 and the other bf16 or f16"));
  CHECK_THAT(
      message(x, {.weight = w}, DType::i32),
      Equals(
          "norm: cannot go from f32 to i32; the dtypes are equal or one is f32 and the other bf16 or f16"));
  CHECK_THAT(message(x, {.weight = w, .groups = 4}),
             Equals("norm: 4 groups do not divide last dim of [2, 6]"));
  CHECK_THAT(message(x, {.weight = w, .groups = 0}),
             Equals("norm: 0 groups do not divide last dim of [2, 6]"));
  CHECK_THAT(message(x, {}), Equals("norm: needs a weight"));
  CHECK_THAT(message(x, {.weight = w, .groups = 2}),
             Equals("norm: weight of input [2, 6] f32 in 2 groups must be [3] f32, got [6] f32"));
  CHECK_THAT(message(x, {.weight = w, .bias = ones(6, DType::bf16)}),
             Equals("norm: bias of input [2, 6] f32 in 1 groups must be [6] f32, got [6] bf16"));
  CHECK_THAT(message(x, {.kind = NormKind::dyt, .weight = w}), Equals("norm: kind dyt needs alpha"));
  CHECK_THAT(message(x, {.weight = w, .alpha = ones(1)}), Equals("norm: kind ln has no alpha"));
  CHECK_THAT(message(x, {.kind = NormKind::dyt, .weight = w, .alpha = ones(2)}),
             Equals("norm: alpha must be one f32, got [2] f32"));
  CHECK_THAT(message(x, {.weight = w, .eps = -1}), Equals("norm: eps must be finite and at least 0, got -1"));
  CHECK_THAT(message(x, {.weight = w, .eps = NAN}),
             Equals("norm: eps must be finite and at least 0, got nan"));
  CHECK_THAT(message(x, {.weight = w, .gain_offset = INFINITY}),
             Equals("norm: gain_offset must be finite, got inf"));
}

TEST_CASE("joins say what is wrong") {
  const Tensor x = Tensor::zeros({2, 6}, DType::f32);
  const auto message = [&](const Tensor& stream, const Tensor& o, const ResidualJoin& join) -> std::string {
    try {
      residual_add(stream, o, join);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  CHECK_THAT(
      message(x, Tensor::zeros({2, 5}, DType::f32), {}),
      Equals(
          "residual_add: needs a floating stream and a branch of one shape [..., channels], got [2, 6] f32 "
          "and [2, 5] f32"));
  CHECK_THAT(message(Tensor::zeros({2, 6}, DType::bf16), x, {}),
             Equals("residual_add: a bf16 stream cannot take a f32 branch; the dtypes are equal or f32 and "
                    "bf16 or f16"));
  CHECK_THAT(message(x, x, {.res = {.constant = NAN}}), Equals("residual_add: res must be finite, got nan"));
  CHECK_THAT(
      message(x, x, {.branch = {.learned = ones(5)}}),
      Equals("residual_add: learned branch of a stream [2, 6] f32 must be [] or [6] f32, got [5] f32"));
  CHECK_THAT(message(x, x, {.dropout = 1}), Equals("residual_add: dropout must lie in [0, 1), got 1"));
  CHECK_THAT(message(x, x, {.dropout = 0.5}), Equals("residual_add: dropout 0.5 needs a random stream"));
  CHECK_THROWS_WITH(
      residual_add_norm(x, x, {}, {.weight = ones(5)}, DType::f32),
      Equals("residual_add_norm: weight of input [2, 6] f32 in 1 groups must be [6] f32, got [5] f32"));
  CHECK_THROWS_WITH(
      residual_add_norm(x, x, {}, {.weight = ones(6), .activation = Activation::gelu}, DType::f32),
      Equals("residual_add_norm: takes no activation, got gelu"));
}

TEST_CASE("a norm of an activation keeps its input and its rows' numbers, and nothing between") {
  Tensor x = normal({8, 24}, DType::f32, 1);
  Tape tape;
  const TapeScope scope(tape);
  tape.watch(x);
  norm(x, {.weight = ones(24), .activation = Activation::gelu}, DType::f32);
  CHECK(tape.saved_bytes() == x.bytes() + 24 * 4 + 2 * 8 * 8);
}
