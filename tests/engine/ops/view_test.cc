// Messages of the view ops, of head_scale and of grouped_linear: the op table covers what they compute.
#include "engine/ops/view.h"

#include <catch2/catch.hpp>

#include "engine/ops/grouped_linear.h"
#include "engine/ops/head_scale.h"

using namespace engine;

TEST_CASE("views refuse what they cannot take") {
  const Tensor x = Tensor::zeros({2, 3}, DType::f32);
  CHECK_THROWS_WITH(reshape(x, {4}), "reshape: [2, 3] has 6 elements, [4] has 4");
  CHECK_THROWS_WITH(slice(x, 2, 0, 1), "slice: axis 2 of [2, 3]");
  CHECK_THROWS_WITH(slice(x, 1, 2, 4), "slice: [2, 4) of axis 1 of [2, 3]");
  CHECK_THROWS_WITH(transpose(x, 0, 2), "transpose: axes 0 and 2 of [2, 3]");
  CHECK_THROWS_WITH(split(x, 1, {1, 1}), "split: sizes add up to 2, axis 1 of [2, 3] has 3");
  CHECK_THROWS_WITH(split(x, 1, {4, -1}), Catch::Matchers::Contains("[2, 3]"));
  CHECK_THROWS_WITH(concat({}, 0), "concat: needs at least one tensor");
  CHECK_THROWS_WITH(concat({x}, 2), "concat: axis 2 of [2, 3]");
  CHECK_THROWS_WITH(concat({x, Tensor::zeros({2, 4}, DType::f32)}, 0),
                    "concat: f32 [2, 4] beside f32 [2, 3] along axis 0");
  CHECK_THROWS_WITH(concat({x, Tensor::zeros({2, 3}, DType::f64)}, 0),
                    "concat: f64 [2, 3] beside f32 [2, 3] along axis 0");
}

TEST_CASE("head_scale refuses what it cannot take") {
  const Tensor x = Tensor::zeros({2, 6}, DType::bf16), gain = Tensor::zeros({4}, DType::f32);
  CHECK_THROWS_WITH(head_scale(Tensor::from_ids({1}, {1}), gain),
                    "head_scale: needs a floating input, got i32");
  CHECK_THROWS_WITH(head_scale(x, Tensor::zeros({2, 2}, DType::f32)),
                    "head_scale: needs input [..., channels] and gain [heads], got [2, 6] and [2, 2]");
  CHECK_THROWS_WITH(head_scale(x, gain), "head_scale: 4 heads do not divide last dim of [2, 6]");
  CHECK_THROWS_WITH(head_scale(x, Tensor::zeros({0}, DType::f32)),
                    "head_scale: 0 heads do not divide last dim of [2, 6]");
  CHECK_THROWS_WITH(head_scale(x, Tensor::zeros({3}, DType::bf16)),
                    "head_scale: gain of a bf16 input must be f32, got bf16");
}

TEST_CASE("grouped_linear refuses what it cannot take") {
  const Tensor x = Tensor::zeros({4, 3}, DType::f32), weight = Tensor::zeros({2, 5, 3}, DType::f32);
  CHECK_THROWS_WITH(grouped_linear(x, Tensor::zeros({2, 5, 3}, DType::f64), groups_of({0, 1, 4})),
                    "grouped_linear: input f32, weight f64");
  CHECK_THROWS_WITH(grouped_linear(Tensor::zeros({4, 2}, DType::f32), weight, groups_of({0, 1, 4})),
                    "grouped_linear: weight [2, 5, 3] needs input [rows, in], got [4, 2]");
  const char* const count = "grouped_linear: 2 groups need as many offsets and one more, from 0 to 4";
  CHECK_THROWS_WITH(grouped_linear(x, weight, groups_of({0, 4})), count);
  CHECK_THROWS_WITH(groups_of({1, 2, 4}), "groups of rows: offsets must begin at 0");
  CHECK_THROWS_WITH(grouped_linear(x, weight, groups_of({0, 2, 5})), count);
  CHECK_THROWS_WITH(groups_of({0, 5, 4}), "groups of rows: offsets must ascend");
}
