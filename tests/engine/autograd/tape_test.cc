// The tape's contract: slots, views, sharing of buffers, listeners, checkpointing, kept and unused outputs.
#include <catch2/catch.hpp>

#include "engine/autograd/checkpoint.h"
#include "engine/autograd/gradcheck.h"
#include "engine/ops/attention.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/head_scale.h"
#include "engine/ops/optimizer.h"
#include "engine/ops/reduce.h"
#include "engine/ops/view.h"

using namespace engine;
using Catch::Matchers::Contains;

namespace {

Tensor ones(const Shape& shape) { return Tensor::full(shape, 1, DType::f64); }

// A parameter outside any arena.
Parameter parameter(const std::string& name, const Shape& shape) {
  Parameter p;
  p.name = name;
  p.value = p.compute = ones(shape);
  p.grad = Tensor::full(shape, 99, DType::f64);  // garbage that the first write must replace
  return p;
}

struct Listener : GradientListener {
  std::vector<std::string> fired;
  void on_grad_ready(Parameter& p) override { fired.push_back(p.name); }
};

std::vector<double> gradient_of(Tape& tape, const Tensor& x) { return tape.gradient(x).to_vector(); }

}  // namespace

TEST_CASE("a part of a split that nobody uses has gradient zero") {
  Tape tape;
  Tensor x = ones({2, 6}), y;
  {
    TapeScope scope(tape);
    tape.watch(x);
    y = contiguous(split(x, 1, {2, 2, 2})[1]);  // only k of q, k, v
  }
  tape.backward(std::vector{y}, std::vector{ones({2, 2})});
  CHECK(gradient_of(tape, x) == std::vector<double>{0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0});
}

TEST_CASE("a view that is used twice adds both gradients") {
  Tape tape;
  Tensor x = ones({1, 4}), gain = ones({1}), a, b;
  {
    TapeScope scope(tape);
    tape.watch(x);
    const Tensor part = slice(x, 1, 1, 3);
    a = head_scale(part, gain);
    b = head_scale(part, gain);
  }
  tape.backward(std::vector{a, b}, std::vector{ones({1, 2}), Tensor::full({1, 2}, 10, DType::f64)});
  CHECK(gradient_of(tape, x) == std::vector<double>{0, 11, 11, 0});
}

TEST_CASE("a gradient buffer that two slots share is copied before it is changed") {
  // reshape passes its gradient on without a copy; x then receives a second gradient, which must not change
  // y's.
  Tape tape;
  Tensor x = ones({2}), y, z;
  {
    TapeScope scope(tape);
    tape.watch(x);
    z = head_scale(x, ones({1}));
    y = reshape(x, {2});
    tape.keep(y);
    y = reshape(y, {2});
    tape.keep(y);
  }
  tape.backward(std::vector{z, y}, std::vector{ones({2}), Tensor::full({2}, 5, DType::f64)});
  CHECK(gradient_of(tape, y) == std::vector<double>{5, 5});
  CHECK(gradient_of(tape, x) == std::vector<double>{6, 6});
}

TEST_CASE("a residual add hands one gradient to two inputs, and neither changes the other's") {
  // h = x + 2 x, y = h + 10 h: dh = 11, dx = 33. The gradient of h goes to x without a copy, then grows.
  Tape tape;
  Tensor x = ones({2}), h, y;
  {
    TapeScope scope(tape);
    tape.watch(x);
    h = add(x, head_scale(x, Tensor::full({1}, 2, DType::f64)));
    tape.keep(h);
    y = add(h, head_scale(h, Tensor::full({1}, 10, DType::f64)));
    tape.keep(y);
  }
  const Tensor dy = ones({2});
  tape.backward(std::vector{y}, std::vector{dy});
  CHECK(gradient_of(tape, x) == std::vector<double>{33, 33});
  CHECK(gradient_of(tape, h) == std::vector<double>{11, 11});
  CHECK(gradient_of(tape, y) == std::vector<double>{1, 1});
  CHECK(dy.to_vector() == std::vector<double>{1, 1});
}

TEST_CASE("a saved tensor that is overwritten before backward is an error") {
  const Tensor other = Tensor::full({2}, 3, DType::f64);
  const std::function<void(const Tensor&)> writes[] = {
      [](const Tensor& t) { t.fill(3); },
      [&](const Tensor& t) { t.copy_from(other); },
      [&](const Tensor& t) { t.copy_from(other, true); },
      [&](const Tensor& t) { sgd_step(t, other, {}, {.lr = 0.1}); },
  };
  for (const auto& write : writes) {
    Tape tape;
    Tensor x = ones({4}), gain = ones({2}), y;
    {
      TapeScope scope(tape);
      tape.watch(x);
      y = head_scale(x, gain);
    }
    write(gain);
    CHECK_THROWS_WITH(tape.backward(std::vector{y}, std::vector{ones({4})}),
                      "backward: a saved tensor [2] f64 was overwritten between forward and backward");
  }
}

TEST_CASE("an output that is never used does not run its node") {
  Tape tape;
  Tensor x = ones({4}), gain = ones({2}), used;
  {
    TapeScope scope(tape);
    tape.watch(x);
    tape.watch(gain);
    head_scale(x, gain);
    used = head_scale(x, ones({2}));
  }
  tape.backward(std::vector{used}, std::vector{ones({4})});
  CHECK_FALSE(tape.gradient(gain).defined());
  CHECK(gradient_of(tape, x) == std::vector<double>{1, 1, 1, 1});
}

TEST_CASE("parameters: the first write replaces, later ones add, tied uses are announced once") {
  Parameter gain = parameter("gain", {2}), other = parameter("other", {2});
  for (int micro_batch = 1; micro_batch <= 2; ++micro_batch) {
    Tape tape;
    Listener listener;
    tape.listener = &listener;
    Tensor y;
    {
      TapeScope scope(tape);
      y = head_scale(head_scale(head_scale(ones({4}), use(gain)), use(other)), use(gain));
    }
    tape.backward(std::vector{y}, std::vector{ones({4})});
    CHECK(gain.grad.to_vector() == std::vector<double>{4.0 * micro_batch, 4.0 * micro_batch});
    CHECK(listener.fired == std::vector<std::string>{"other", "gain"});
  }
}

TEST_CASE("an f16 arena gets the gradient of an f32 leaf rounded, and its neighbours stay as they are") {
  const Tensor arena = Tensor::full({6}, 7, DType::f16), factors = Tensor::full({2}, 1, DType::f32);
  Parameter gain{.name = "gain", .value = Tensor::full({2}, 1, DType::f16), .compute = factors};
  gain.grad = arena.slice(0, 2, 4);
  for (int micro_batch = 1; micro_batch <= 2; ++micro_batch) {
    Tape tape;
    Tensor y;
    {
      TapeScope scope(tape);
      y = head_scale(head_scale(Tensor::full({4}, 1, DType::f16), use(gain)), use(gain));
    }
    tape.backward(std::vector{y}, std::vector{Tensor::full({4}, 1, DType::f16)});
    const double both = 4.0 * micro_batch;
    CHECK(arena.to_vector() == std::vector<double>{7, 7, both, both, 7, 7});
  }
}

TEST_CASE("a checkpointed segment gives the same gradients and announces its parameters") {
  Parameter inner = parameter("inner", {2}), tied = parameter("tied", {2});
  const auto segment = [&](const std::vector<Tensor>& t) {
    return std::vector{head_scale(head_scale(t[0], use(inner)), use(tied))};
  };
  std::vector<double> plain_x, plain_inner, plain_tied;
  for (bool checkpointed : {false, true}) {
    inner.grad_written = tied.grad_written = false;
    Tape tape;
    Listener listener;
    tape.listener = &listener;
    Tensor x = Tensor::from({1, 2, 3, 4}, {4}), y;
    {
      TapeScope scope(tape);
      tape.watch(x);
      y = checkpointed ? checkpoint(segment, {x})[0] : segment({x})[0];
      y = head_scale(y, use(tied));
    }
    CHECK(tape.size() == (checkpointed ? 2u : 3u));
    tape.backward(std::vector{y}, std::vector{ones({4})});
    CHECK(listener.fired.size() == 2);
    if (!checkpointed) {
      plain_x = gradient_of(tape, x), plain_inner = inner.grad.to_vector(),
      plain_tied = tied.grad.to_vector();
    } else {
      CHECK(gradient_of(tape, x) == plain_x);
      CHECK(inner.grad.to_vector() == plain_inner);
      CHECK(tied.grad.to_vector() == plain_tied);
    }
  }
}

TEST_CASE("a checkpointed segment that captures a tensor with a gradient is an error") {
  Tape tape;
  const TapeScope scope(tape);
  Tensor x = ones({4}), gain = ones({2});
  tape.watch(x);
  tape.watch(gain);
  const Tensor scaled = affine(gain, 2);
  const char* message =
      "checkpoint: the segment reads a tensor [2] that needs a gradient and is not among its inputs";
  const auto reads = [](const Tensor& g) {
    return [g](const std::vector<Tensor>& t) { return std::vector{head_scale(t[0], g)}; };
  };
  CHECK_THROWS_WITH(checkpoint(reads(gain), {x}), message);
  CHECK_THROWS_WITH(checkpoint(reads(scaled), {x}), message);
  // A segment inside a segment that captures what the outer one was given.
  CHECK_THROWS_WITH(
      checkpoint([&](const std::vector<Tensor>& t) { return checkpoint(reads(gain), {t[0]}); }, {x}),
      message);
  // Without a gradient it may, and with recording off nothing is lost.
  CHECK_NOTHROW(checkpoint(reads(ones({2})), {x}));
  CHECK_NOTHROW(checkpoint(
      [&](const std::vector<Tensor>& t) {
        const TapeScope off(nullptr);
        head_scale(x, gain);
        return std::vector{affine(t[0], 2)};
      },
      {x}));
  CHECK_NOTHROW(affine(gain, 2));
}

TEST_CASE("the outputs of a checkpointed segment are its inputs, scalars, or the same tensor twice") {
  Tape tape;
  Tensor x = Tensor::from({1, 2, 3}, {3}), total;
  {
    const TapeScope scope(tape);
    tape.watch(x);
    const auto y = checkpoint(
        [](const std::vector<Tensor>& t) {
          const Tensor twice = affine(t[0], 2);
          return std::vector{t[0], sum_all(square(t[0])), twice, twice};
        },
        {x});
    total = add(add(sum_all(y[0]), y[1]), add(sum_all(y[2]), affine(sum_all(y[3]), 10)));
  }
  tape.backward(total);
  CHECK(gradient_of(tape, x) == std::vector<double>{1 + 2 + 22, 1 + 4 + 22, 1 + 6 + 22});
}

TEST_CASE("a part with a gradient in hand before a row kernel adds to it") {
  // Rows [:, 2:4] of x have no one distance, so the gradient of q must not be formed inside that of x:
  // attention adds to what add() has handed over.
  const Tensor x =
      Tensor::from({.1, -.4, .3, .2, .5, -.2, .1, .7, -.6, .3, .2, .1, .4, -.1, .6, .2}, {2, 4, 2});
  const auto result = gradcheck(
      [](const std::vector<Tensor>& t) {
        const Tensor q = slice(t[0], 1, 2, 4);
        return std::vector{add(q, attention(q, t[0], affine(t[0], 2), {.causal = true}))};
      },
      {x});
  INFO(result.text);
  CHECK(result.ok);
}

TEST_CASE("saved_bytes counts what nodes keep alive") {
  Tape tape;
  TapeScope scope(tape);
  Tensor x = ones({4}), gain = ones({2});
  tape.watch(x);
  head_scale(x, gain);
  CHECK(tape.saved_bytes() == 6 * 8);
}

TEST_CASE("gradcheck finds a wrong gradient and skips kinks") {
  const Tensor x = Tensor::from({1, -2, 3, 4}, {4}), gain = Tensor::from({0.5, 2}, {2});
  const auto f = [](const std::vector<Tensor>& t) { return std::vector{head_scale(t[0], t[1])}; };
  CHECK(gradcheck(f, {x, gain}).ok);
  const BackwardMutation off("head_scale", 1.001);
  const GradcheckResult wrong = gradcheck(f, {x, gain}, {}, {"x", "gain"});
  CHECK_FALSE(wrong.ok);
  CHECK_THAT(wrong.text, Contains("gain: 2 of 2 elements differ"));
}

TEST_CASE("the tape refuses what has no gradient") {
  Tape tape;
  Tensor ids = Tensor::from_ids({1}, {1}), x = ones({2});
  CHECK_THROWS_WITH(tape.watch(ids), Contains("i32"));
  CHECK_THROWS_WITH(tape.gradient(x), Contains("not on the tape"));
  CHECK_THROWS_WITH(tape.keep(x), Contains("keep: this tensor is not on the tape"));
  CHECK_THROWS_WITH(tape.backward(x), Contains("scalar"));
  CHECK_THROWS_WITH(tape.backward(std::vector{x, x}, std::vector{x}), "backward: 2 outputs, 1 cotangents");
  CHECK_THROWS_WITH(tape.backward(std::vector{x}, std::vector{ones({3})}),
                    "backward: output [2], cotangent [3]");
}

TEST_CASE("gradcheck refuses all but f64") {
  const Tensor x = Tensor::zeros({2}, DType::f32);
  const auto same = [](const std::vector<Tensor>& t) { return t; };
  CHECK_THROWS_WITH(gradcheck(same, {x}), "gradcheck: needs f64 inputs, got f32");
  CHECK_THROWS_WITH(gradcheck([&](const std::vector<Tensor>&) { return std::vector{x}; }, {ones({2})}),
                    "gradcheck: the function must return f64, got f32");
  Parameter p{.name = "gain", .value = x, .compute = x, .grad = x};
  CHECK_THROWS_WITH(gradcheck_parameters([&] { return ones({1}); }, {&p}),
                    "gradcheck: parameter gain must be f64, got f32");
}
