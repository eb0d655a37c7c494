// What the op table cannot say of rope: rotations compose, positions far out keep their precision, messages.
#include "engine/ops/rope.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace engine;

TEST_CASE("a rotated row does not depend on the row it stands in") {
  const Tensor x = Tensor::from({1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4}, {1, 3, 4}, DType::f32);
  const auto all = rope(x, 1, 1e4, 5).to_vector();
  for (int64_t t = 0; t < 3; ++t) {
    const auto one = rope(x.slice(1, t, t + 1), 1, 1e4, 5 + t).to_vector();
    for (size_t i = 0; i < 4; ++i) CHECK(one[i] == all[size_t(t) * 4 + i]);
  }
}

TEST_CASE("angles are formed in double: position 300000 is exact in f32") {
  const Tensor x = Tensor::from({1, 0}, {1, 1, 2}, DType::f32);
  for (int64_t position : {200'000, 300'000}) {  // inside and beyond the kept table
    const auto y = rope(x, 1, 1e4, position).to_vector();
    CHECK(y[0] == double(float(std::cos(double(position)))));
    CHECK(y[1] == double(float(std::sin(double(position)))));
  }
}

TEST_CASE("a list of frequencies: 0 leaves a pair as it is, the amplitude multiplies what turns") {
  const Tensor x = Tensor::from({1, 2, 3, 4}, {1, 1, 4}, DType::f64);
  const RopeAngles angles{.frequencies = {0.5, 0}, .amplitude = 2};
  const auto y = rope(x, 1, angles, 3).to_vector();
  CHECK(y[0] == Approx(2 * (std::cos(1.5) * 1 - std::sin(1.5) * 3)).epsilon(1e-14));
  CHECK(y[2] == Approx(2 * (std::cos(1.5) * 3 + std::sin(1.5) * 1)).epsilon(1e-14));
  CHECK(y[1] == 2);
  CHECK(y[3] == 4);
  CHECK(rope(x, 1, plain_rope_angles(4, 100), 3).to_vector() == rope(x, 1, 100, 3).to_vector());
  CHECK_THROWS_WITH(rope(x, 2, angles), "rope: heads of 2 channels need 1 frequencies, got 2");
  CHECK_THROWS_WITH(rope(x, 1, RopeAngles{.frequencies = {INFINITY, 1}}),
                    "rope: a frequency must be finite, got inf");
}

TEST_CASE("rope refuses what it cannot take") {
  const Tensor x = Tensor::zeros({1, 2, 12}, DType::f32);
  CHECK_THROWS_WITH(rope(x.reshape({2, 12}), 2, 1e4),
                    "rope: needs a floating input [B, T, heads * n], got f32 [2, 12]");
  CHECK_THROWS_WITH(rope(Tensor::zeros({1, 2, 4}, DType::i32), 2, 1e4),
                    "rope: needs a floating input [B, T, heads * n], got i32 [1, 2, 4]");
  CHECK_THROWS_WITH(rope(x, 5, 1e4), "rope: 5 heads do not divide last dim of [1, 2, 12]");
  CHECK_THROWS_WITH(rope(x, 0, 1e4), "rope: 0 heads do not divide last dim of [1, 2, 12]");
  CHECK_THROWS_WITH(rope(x, 4, 1e4), "rope: heads of odd size 3 have no pairs (4 heads in [1, 2, 12])");
  CHECK_THROWS_WITH(rope(x, 2, -1), "rope: theta must be positive, got -1");
  CHECK_THROWS_WITH(rope(x, 2, 1e4, -1), "rope: offset -1 is not a position");
}
