// What the op table cannot say of embedding: dtypes, shared gradient buffers, messages.
#include "engine/ops/embedding.h"

#include <catch2/catch.hpp>

#include "engine/ops/elementwise.h"
#include "engine/ops/reduce.h"

using namespace engine;

TEST_CASE("a bf16 table used twice adds to its f32 gradient, and rows without an id get zero") {
  Parameter table{.name = "embed",
                  .value = Tensor::full({3, 2}, 1, DType::f32),
                  .compute = Tensor::full({3, 2}, 1, DType::bf16),
                  .grad = Tensor::full({3, 2}, 99, DType::f32)};
  const Tensor ids = Tensor::from_ids({0, 2, 0}, {3});
  Tape tape;
  Tensor y;
  {
    const TapeScope scope(tape);
    y = sum_all(add(embedding(ids, use(table), 1, DType::f32), embedding(ids, use(table), 10, DType::f32)));
  }
  tape.backward(y);
  CHECK(table.grad.to_vector() == std::vector<double>{22, 22, 0, 0, 11, 11});
}

TEST_CASE("embedding refuses what it cannot take") {
  const Tensor table = Tensor::zeros({5, 2}, DType::f32), ids = Tensor::from_ids({0, 4, 1, 5}, {2, 2});
  CHECK_THROWS_WITH(embedding(ids, table, 1, DType::f32),
                    "embedding: id 5 at position 3 is outside a table of 5");
  CHECK_THROWS_WITH(embedding(Tensor::from_ids({-1}, {1}), table, 1, DType::f32),
                    "embedding: id -1 at position 0 is outside a table of 5");
  CHECK_THROWS_WITH(embedding(table, table, 1, DType::f32), "embedding: ids must be i32, got f32");
  CHECK_THROWS_WITH(embedding(ids, Tensor::zeros({5}, DType::f32), 1, DType::f32),
                    "embedding: the table must be floating [V, d], got f32 [5]");
  CHECK_THROWS_WITH(embedding(ids, ids, 1, DType::f32),
                    "embedding: the table must be floating [V, d], got i32 [2, 2]");
  CHECK_THROWS_WITH(embedding(ids, table, 1, DType::u8), "embedding: the output must be floating, got u8");
  CHECK_THROWS_WITH(embedding(ids, table, 1 / 0.0, DType::f32),
                    "embedding: the scale must be finite, got inf");
  CHECK_THROWS_WITH(embedding(Tensor::zeros({1, 1, 1, 1, 1, 1}, DType::i32), table, 1, DType::f32),
                    "embedding: ids [1, 1, 1, 1, 1, 1] have too many axes");
}
