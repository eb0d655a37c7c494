// The code of docs/02-autograd.md and the answers to its exercises. book_test.py compares the page with this
// file.
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>

#include "engine/autograd/checkpoint.h"
#include "engine/ops/activation.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/reduce.h"

using namespace engine;

TEST_CASE("page 2: one derivative") {
  Tensor x = Tensor::from({1, 2, 3}, {3});
  Tape tape;
  Tensor loss;
  {
    TapeScope scope(tape);      // ops record while it lives
    tape.watch(x);              // x is a leaf
    loss = sum_all(mul(x, x));  // two nodes
  }
  CHECK(tape.size() == 2);
  tape.backward(loss);  // walks the nodes in reverse and frees them
  CHECK(tape.gradient(x).to_vector() == std::vector<double>{2, 4, 6});
}

TEST_CASE("page 2: what is kept alive") {
  Tensor x = Tensor::zeros({1000}, DType::f32);
  Tape tape;
  const TapeScope scope(tape);
  tape.watch(x);
  const Tensor y = affine(x, 2);  // dx = 2 dy reads nothing
  CHECK(tape.saved_bytes() == 0);
  const Tensor z = activate(y, Activation::gelu);  // dy = gelu'(y) dz reads y
  CHECK(tape.saved_bytes() == 4000);
}

TEST_CASE("page 2: a parameter's gradient goes to its arena") {
  Parameter gain;
  gain.name = "gain";
  gain.value = gain.compute = Tensor::from({3}, {1});
  gain.grad = Tensor::empty({1}, DType::f64);  // in a model: a slice of the gradient arena
  for (int micro_batch = 0; micro_batch < 2; ++micro_batch) {
    Tape tape;
    Tensor loss;
    {
      TapeScope scope(tape);
      loss = sum_all(mul(Tensor::from({1, 10}, {2}), use(gain)));
    }
    tape.backward(loss);  // the first write replaces, later ones add
  }
  CHECK(gain.grad.item() == 22);
  gain.grad_written = false;  // the next write replaces again: no pass that zeroes gradients
}

TEST_CASE("page 2: checkpointing") {
  const Segment block = [](const std::vector<Tensor>& in) {
    return std::vector{activate(activate(in[0], Activation::gelu), Activation::tanh)};
  };
  Tensor x = Tensor::from({-1, 0, 1}, {3});
  Tape plain, saving;
  Tensor y, z;
  {
    TapeScope scope(plain);
    plain.watch(x);
    y = sum_all(block({x})[0]);
  }
  plain.backward(y);
  const auto expected = plain.gradient(x).to_vector();
  {
    TapeScope scope(saving);
    saving.watch(x);
    z = sum_all(checkpoint(block, {x})[0]);  // keeps x, runs the block again in backward
  }
  saving.backward(z);
  CHECK(saving.gradient(x).to_vector() == expected);
}

namespace {

/// The gradient of f, a number, at x.
std::vector<double> gradient(const std::function<Tensor(const Tensor&)>& f, const std::vector<double>& at) {
  Tensor x = Tensor::from(at, {int64_t(at.size())});
  Tape tape;
  Tensor loss;
  {
    TapeScope scope(tape);
    tape.watch(x);
    loss = f(x);
  }
  tape.backward(loss);
  return tape.gradient(x).to_vector();
}

}  // namespace

TEST_CASE("exercise 2.1: a cube") {
  CHECK(gradient([](const Tensor& x) { return sum_all(mul(mul(x, x), x)); }, {1, 2}) ==
        std::vector<double>{3, 12});
}

TEST_CASE("exercise 2.2: exp keeps its result") {
  Tensor x = Tensor::zeros({1000}, DType::f32);
  Tape tape;
  const TapeScope scope(tape);
  tape.watch(x);
  const Tensor y = engine::exp(x);
  CHECK(tape.saved_bytes() == 4000);
}

TEST_CASE("exercise 2.3: a mean") {
  CHECK(gradient([](const Tensor& x) { return mean(x, 0); }, {5, 6, 7, 8}) ==
        std::vector<double>{0.25, 0.25, 0.25, 0.25});
}

TEST_CASE("exercise 2.4: two readers") {
  CHECK(gradient([](const Tensor& x) { return sum_all(add(affine(x, 3), x)); }, {1, 2}) ==
        std::vector<double>{4, 4});
}

TEST_CASE("exercise 2.5: the two errors of a difference") {
  const auto error = [](double h) { return std::fabs((std::exp(h) - std::exp(-h)) / (2 * h) - 1); };
  CHECK(error(1e-3) == Approx(1e-6 / 6).epsilon(0.01));
  CHECK(error(1e-9) < 2e-7);
  CHECK(error(1e-9) > 1e-9);
}
