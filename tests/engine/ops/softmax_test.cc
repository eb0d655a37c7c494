// What the op table cannot say of softmax: a row of one, large values, masked entries, messages.
#include "engine/ops/softmax.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace engine;

TEST_CASE("softmax does not overflow, gives masked entries exactly zero, and NaN where there is NaN") {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    const Tensor x = Tensor::from({60000, 60000, -INFINITY, 1, NAN, 2}, {2, 3}, dtype);
    const auto p = softmax(x).to_vector(), y = log_softmax(x).to_vector();
    CHECK(p[0] == 0.5);
    CHECK(p[2] == 0);
    CHECK(y[0] == Approx(-std::log(2.0)).epsilon(4e-3));
    CHECK(y[2] == -INFINITY);
    CHECK(std::isnan(p[3]));
    CHECK(std::isnan(y[5]));
  }
}

TEST_CASE("softmax of a row of one element is 1, and its gradient 0") {
  Tensor x = Tensor::from({3, -4}, {2, 1});
  Tape tape;
  Tensor y;
  {
    const TapeScope scope(tape);
    tape.watch(x);
    y = softmax(x);
  }
  CHECK(y.to_vector() == std::vector<double>{1, 1});
  CHECK(log_softmax(x).to_vector() == std::vector<double>{0, 0});
  const Tensor dy = Tensor::from({5, 6}, {2, 1});
  tape.backward(std::span(&y, 1), std::span(&dy, 1));
  CHECK(tape.gradient(x).to_vector() == std::vector<double>{0, 0});
}

TEST_CASE("softmax refuses what it cannot take") {
  CHECK_THROWS_WITH(softmax(Tensor::zeros({}, DType::f32)),
                    "softmax: needs a floating input [..., n], got f32 []");
  CHECK_THROWS_WITH(log_softmax(Tensor::from_ids({1}, {1})),
                    "log_softmax: needs a floating input [..., n], got i32 [1]");
}
