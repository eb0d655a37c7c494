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
