// The collectives of a single rank are the identity, and every transport refuses the same mistakes.
#include "engine/comm/communicator.h"

#include <catch2/catch.hpp>

using namespace engine;

TEST_CASE("one rank: every collective leaves or copies the values, bit for bit") {
  const auto solo = solo_communicator();
  CHECK(solo->rank() == 0);
  CHECK(solo->size() == 1);
  for (DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i32}) {
    const Tensor values = Tensor::from({1, -2, 3, 0}, {2, 2}, dtype), part = Tensor::zeros({4}, dtype),
                 all = Tensor::zeros({2, 2}, dtype);
    solo->all_reduce(values);
    solo->all_reduce(values, Reduction::max);
    solo->broadcast(values);
    CHECK(values.to_vector() == std::vector<double>{1, -2, 3, 0});
    solo->reduce_scatter(values, part);
    CHECK(part.to_vector() == values.to_vector());
    solo->all_gather(part, all);
    CHECK(all.to_vector() == values.to_vector());
    solo->all_gather(all, all);  // in place
    CHECK(all.to_vector() == values.to_vector());
  }
  CHECK(sum_over_ranks(*solo, 0.1) == 0.1);
  solo->barrier();
}

TEST_CASE("collectives refuse what they cannot take") {
  const auto solo = solo_communicator();
  const Tensor x = Tensor::zeros({2, 3}, DType::f32);
  CHECK_THROWS_WITH(solo->all_reduce({}), "all_reduce: needs a contiguous tensor, got nothing");
  CHECK_THROWS_WITH(solo->broadcast(x.transpose(0, 1)),
                    "broadcast: needs a contiguous tensor, got [3, 2] with gaps");
  CHECK_THROWS_WITH(solo->broadcast(x, 1), "broadcast: root 1 of 1 ranks");
  CHECK_THROWS_WITH(solo->broadcast(x, -1), "broadcast: root -1 of 1 ranks");
  CHECK_THROWS_WITH(solo->reduce_scatter(x, Tensor::zeros({5}, DType::f32)),
                    "reduce_scatter: 1 parts of [5] f32 do not make [2, 3] f32");
  CHECK_THROWS_WITH(solo->all_gather(Tensor::zeros({6}, DType::f64), x),
                    "all_gather: 1 parts of [6] f64 do not make [2, 3] f32");
}
