// What the op table cannot say of reductions: precision of long sums, NaN, messages.
#include "engine/ops/reduce.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace engine;

TEST_CASE("a long f32 sum keeps its precision") {
  const Tensor x = Tensor::full({3'000'001}, 0.1, DType::f32);
  CHECK(sum_all(x).dtype() == DType::f64);
  CHECK(sum_all(x).item() == Approx(3'000'001 * double(0.1f)).epsilon(1e-7));
  CHECK(sum(x.reshape({1, 3'000'001}), 1).item() == Approx(3'000'001 * double(0.1f)).epsilon(1e-7));
}

TEST_CASE("max_last gives the largest element of each row, and NaN where there is one") {
  const Tensor x = Tensor::from({-3, -1, -2, 5, 7, 6, 1, NAN, 2}, {3, 3}, DType::f32);
  const auto y = max_last(x).to_vector();
  CHECK(y[0] == -1);
  CHECK(y[1] == 7);
  CHECK(std::isnan(y[2]));
}

TEST_CASE("reductions refuse what they cannot take") {
  const Tensor ids = Tensor::from_ids({1}, {1}), x = Tensor::zeros({2, 0}, DType::f32);
  CHECK_THROWS_WITH(sum(ids, 0), "sum: needs a floating input, got i32");
  CHECK_THROWS_WITH(sum(x, 2), "sum: axis 2 of [2, 0]");
  CHECK_THROWS_WITH(mean(x, -3), "mean: axis -3 of [2, 0]");
  CHECK_THROWS_WITH(mean(x, 1), "mean: axis 1 of [2, 0] has no elements");
  CHECK_THROWS_WITH(sum_all(ids), "sum_all: needs a floating input, got i32");
  CHECK_THROWS_WITH(max_last(ids), "max_last: needs a floating input, got i32");
  CHECK_THROWS_WITH(max_last(x), "max_last: needs a last axis with elements, got [2, 0]");
}
