// What the op table cannot say of routing: order of slots, ties, NaN, messages.
#include "engine/ops/routing.h"
#include "engine/core/allocator.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace engine;

namespace {
std::vector<double> ids(const Tensor& t) { return t.to_vector(); }
}  // namespace

TEST_CASE("slots are ordered by expert, then token, ties go to the lower index") {
  const Tensor p = Tensor::from({.2, .5, .3,   // experts 1, 2
                                 .4, .2, .4,   // 0, 2
                                 .3, .3, .3},  // 0, 1: a tie of all three
                                {3, 3});
  const Routing r = route_top_k(p, 2, false);
  CHECK(ids(r.experts.offsets) == std::vector<double>{0, 2, 4, 6});
  CHECK(ids(r.rows.ids) == std::vector<double>{1, 2, 0, 2, 0, 1});
  CHECK(ids(r.rows.order) == std::vector<double>{2, 4, 0, 5, 1, 3});
  CHECK(ids(r.rows.starts) == std::vector<double>{0, 2, 4, 6});
  CHECK(ids(r.share)[1] == Approx(1.0 / 3));
  CHECK(r.weights.to_vector() == std::vector<double>{.4, .3, .5, .3, .3, .4});
  const auto normalized = route_top_k(p, 2, true).weights.to_vector();
  CHECK(normalized[0] == Approx(.5));
  CHECK(normalized[2] == Approx(.625));
}

TEST_CASE("NaN probabilities still choose different experts, and an expert may get none") {
  const Routing r = route_top_k(Tensor::from({NAN, NAN, NAN, 0, 1, 0}, {2, 3}, DType::f32), 2, true);
  CHECK(ids(r.experts.offsets) == std::vector<double>{0, 2, 4, 4});
}

TEST_CASE("of no tokens, every expert's share is 0") {
  const Routing r = route_top_k(Tensor::zeros({0, 3}, DType::f32), 2, true);
  CHECK(r.share.to_vector() == std::vector<double>{0, 0, 0});
}

TEST_CASE("routing refuses what it cannot take") {
  const Tensor p = Tensor::zeros({2, 3}, DType::f32), one = Tensor::zeros({1}, DType::f32);
  CHECK_THROWS_WITH(route_top_k(one, 1, false),
                    "route_top_k: needs floating probabilities [N, E], got f32 [1]");
  CHECK_THROWS_WITH(route_top_k(p, 0, false), "route_top_k: cannot choose 0 of 3 experts");
  CHECK_THROWS_WITH(route_top_k(p, 4, false), "route_top_k: cannot choose 4 of 3 experts");
  CHECK_THROWS_WITH(gather_rows(one, one),
                    "gather_rows: needs floating [n, d] and ids [m], got f32 [1] and [1]");
  CHECK_THROWS_WITH(gather_rows(p, one), "gather_rows: ids must be i32, got f32");
  CHECK_THROWS_WITH(gather_rows(p, Tensor::from_ids({0, 2}, {2})),
                    "gather_rows: id 2 at position 1 is outside the rows of 2");
  const RowIndex plain = index_rows("test", Tensor::from_ids({0, 1}, {2}), 2, "the rows", Sums::no);
  CHECK_NOTHROW(gather_rows(p, plain));
  {
    Tape tape;
    const TapeScope scope(tape);
    Tensor tracked = p.detach();
    tape.watch(tracked);
    CHECK_THROWS_WITH(gather_rows(tracked, plain),
                      "gather_rows: an index without the order of sums has no gradient");
  }
  CHECK_THROWS_WITH(scatter_rows(p, plain, Tensor::zeros({2}, DType::f32)),
                    Catch::Matchers::Contains("with the order of sums"));
  const Tensor two = Tensor::from_ids({0, 5}, {2}), weights = Tensor::zeros({2}, DType::f32);
  CHECK_THROWS_WITH(scatter_rows(one, two, weights, 3),
                    "scatter_rows: needs a floating input [m, d], got f32 [1]");
  CHECK_THROWS_WITH(scatter_rows(p, two, one, 3),
                    "scatter_rows: [2, 3] needs an id and a weight a row, got [2] and [1]");
  CHECK_THROWS_WITH(scatter_rows(p, two, Tensor::zeros({2}, DType::f64), 3),
                    "scatter_rows: weights of a f32 input must be f32, got f64");
  CHECK_THROWS_WITH(scatter_rows(p, two, weights, -1), "scatter_rows: a result of -1 rows");
  CHECK_THROWS_WITH(scatter_rows(p, two, weights, 3),
                    "scatter_rows: id 5 at position 1 is outside a result of 3");
}

TEST_CASE("more rows than an index of 32 bits holds are refused") {
  const int64_t many = int64_t(1) << 31;
  Tensor probabilities, ids;  // never touched, so they take no memory, but a small machine may still say no
  try {
    probabilities = Tensor::empty({many, 1}, DType::bf16), ids = Tensor::empty({many}, DType::i32);
  } catch (const Error& e) {
    WARN("not tested: " << e.what());
    return;
  }
  CHECK_THROWS_WITH(route_top_k(probabilities, 1, false), "route_top_k: too many tokens: [2147483648, 1]");
  CHECK_THROWS_WITH(gather_rows(Tensor::zeros({1, 1}, DType::f32), ids),
                    "gather_rows: too many ids: [2147483648]");
  probabilities = ids = {};
  trim_memory(Device::cpu);
}
