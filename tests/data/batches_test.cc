// Order, ranks, resume and prefetch; causal rows.
#include "data/batches.h"

#include <catch2/catch.hpp>
#include <map>
#include <numeric>
#include <set>

#include "data/clm_rows.h"
#include "data/prefetch.h"
#include "data/shuffle.h"
#include "engine/base/check.h"

using namespace data;
using Catch::Matchers::Contains;

namespace {

/// Tokens 0, 1, 2, ...: an id tells where it came from.
std::shared_ptr<const TokenStream> counting(int n) {
  std::vector<int32_t> ids(size_t(n), 0);
  std::iota(ids.begin(), ids.end(), 0);
  return TokenStream::of(std::move(ids), n + 1, n);
}

/// The first label of each of a batch's rows: which blocks it holds.
std::vector<int32_t> blocks_of(const Batch& batch, int64_t length) {
  std::vector<int32_t> out;
  for (int64_t r = 0; r < batch.rows; ++r) out.push_back(batch.labels[size_t(r * length)] / int32_t(length));
  return out;
}

bool same(const Batch& a, const Batch& b) {
  return a.ids == b.ids && a.labels == b.labels && a.attention_mask == b.attention_mask &&
         a.scored == b.scored;
}

}  // namespace

TEST_CASE("shuffled_index is a permutation for every size, epoch and seed") {
  for (int64_t n : {1, 2, 3, 4, 5, 7, 16, 17, 63, 64, 65, 1000, 4097}) {
    for (uint64_t seed : {0, 1, 99}) {
      std::vector<int> seen(size_t(n), 0);
      for (int64_t i = 0; i < n; ++i) ++seen.at(size_t(shuffled_index(seed, int64_t(seed) + 3, n, i)));
      CHECK(std::count(seen.begin(), seen.end(), 1) == n);
    }
  }
}

TEST_CASE("shuffled_index spreads evenly, and differs by epoch and seed") {
  // Where index 0 goes over 4,000 epochs, in 10 places: 400 +- 19 each.
  std::vector<int> place(10, 0);
  int ascending = 0, fixed = 0;
  for (int64_t epoch = 0; epoch < 4000; ++epoch) {
    ++place[size_t(shuffled_index(5, epoch, 10, 0))];
    ascending += shuffled_index(5, epoch, 1000, 10) < shuffled_index(5, epoch, 1000, 11);
    fixed += shuffled_index(5, epoch, 1000, 77) == shuffled_index(6, epoch, 1000, 77);
  }
  for (int count : place) CHECK(std::abs(count - 400) < 95);  // 5 standard errors
  CHECK(std::abs(ascending - 2000) < 160);
  CHECK(fixed < 20);
}

TEST_CASE("preceding targets: every token is scored once, from the one before it") {
  auto rows = clm_blocks(counting(10), 4);
  REQUIRE(rows->count() == 3);
  const Batch b = ValidationBatches(rows, 3).at(0);
  CHECK(b.ids == std::vector<int32_t>{10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 10});
  CHECK(b.labels == std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -100, -100});
  CHECK(b.scored == 10);
  CHECK(b.attention_mask.empty());
}

TEST_CASE("next targets: every token but the first is scored once") {
  auto rows = clm_blocks(counting(10), 4, Targets::next);
  const Batch b = ValidationBatches(rows, 3).at(0);
  CHECK(b.ids == std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 10, 10});
  CHECK(b.labels == std::vector<int32_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, -100, -100, -100});
  CHECK(b.scored == 9);
  CHECK(clm_blocks(counting(10), 4, Targets::next, LastRow::drop)->count() == 2);
  CHECK(clm_blocks(counting(9), 4, Targets::next, LastRow::drop)->count() == 2);
  CHECK(clm_blocks(counting(8), 4, Targets::next, LastRow::drop)->count() == 1);
}

TEST_CASE("an epoch holds each block once, in an order of its own") {
  auto source = make_batches(clm_blocks(counting(103), 4), {.batch = 5, .seed = 3});
  REQUIRE(source->rows_per_epoch() == 26);
  std::vector<int32_t> order;
  while (order.size() < 4 * 26)
    for (int32_t b : blocks_of(source->next(), 4)) order.push_back(b);
  std::set<std::vector<int32_t>> orders;
  for (size_t e = 0; e < 4; ++e) {
    std::vector<int32_t> epoch(order.begin() + long(e * 26), order.begin() + long(e * 26 + 26));
    orders.insert(epoch);
    std::sort(epoch.begin(), epoch.end());
    for (int32_t i = 0; i < 26; ++i) CHECK(epoch[size_t(i)] == i);
  }
  CHECK(orders.size() == 4);
}

TEST_CASE("a resumed run continues with the same batches") {
  auto rows = clm_blocks(counting(101), 8);
  for (int stop : {0, 1, 3, 4, 17}) {
    auto whole = make_batches(rows, {.batch = 3, .seed = 7});
    Prefetch<Batch> first(make_batches(rows, {.batch = 3, .seed = 7}), std::identity(), 3);
    for (int i = 0; i < stop; ++i) CHECK(same(whole->next(), first.next()));
    const auto saved = engine::parse_json(to_json(first.position()).dump(), "position");
    Prefetch<Batch> second(make_batches(rows, {.batch = 3, .seed = 7}), std::identity(), 2);
    second.next();  // whatever it did before
    second.seek(position_from_json(saved, "position"));
    CHECK(second.position() == first.position());
    for (int i = 0; i < 9; ++i) CHECK(same(whole->next(), second.next()));
  }
}

TEST_CASE("ranks share the rows of one run, and their number may change on the way") {
  auto rows = clm_blocks(counting(400), 8);
  auto one = make_batches(rows, {.batch = 2, .seed = 1});
  BatchPosition position;
  for (int64_t world : {1, 3, 2, 4}) {
    std::vector<std::unique_ptr<BatchSource>> ranks;
    for (int64_t r = 0; r < world; ++r) {
      ranks.push_back(make_batches(rows, {.batch = 2, .rank = r, .world = world, .seed = 1}));
      ranks.back()->seek(position);
    }
    for (int step = 0; step < 7; ++step)
      for (auto& rank : ranks) CHECK(same(one->next(), rank->next()));
    position = ranks[0]->position();
    for (auto& rank : ranks) CHECK(rank->position() == position);
    CHECK(position == one->position());
  }
}

TEST_CASE("a position of other data, context, sampler or seed is refused") {
  auto source = make_batches(clm_blocks(counting(100), 8), {.seed = 1});
  source->next();
  const BatchPosition saved = source->position();
  CHECK_NOTHROW(make_batches(clm_blocks(counting(100), 8), {.batch = 4, .seed = 1})->seek(saved));
  CHECK_THROWS_WITH(make_batches(clm_blocks(counting(101), 8), {.seed = 1})->seek(saved),
                    Contains("other data"));
  CHECK_THROWS(make_batches(clm_blocks(counting(100), 9), {.seed = 1})->seek(saved));
  CHECK_THROWS(make_batches(clm_blocks(counting(100), 8), {.seed = 2})->seek(saved));
  CHECK_THROWS(make_batches(clm_random_crops(counting(100), 8, 1), {.seed = 1})->seek(saved));
  CHECK_THROWS_WITH(source->seek({.rows = -1}), Contains("-1"));
  CHECK_THROWS_WITH(position_from_json(engine::Json{{"row", 1}}, "data"), Contains("\"rows\""));
}

TEST_CASE("random crops: uniform starts, whole rows, a pure function of seed and index") {
  auto rows = clm_random_crops(counting(20), 4, 11);
  auto source = make_batches(rows, {.batch = 4000, .seed = 11, .order = Order::sequential});
  const Batch b = source->next();
  std::map<int32_t, int> starts;
  for (int64_t r = 0; r < b.rows; ++r) {
    const int32_t* ids = b.ids.data() + r * 4;
    const int32_t* labels = b.labels.data() + r * 4;
    for (int i = 0; i < 4; ++i) CHECK((ids[i] == ids[0] + i && labels[i] == ids[i] + 1));
    ++starts[ids[0]];
  }
  CHECK(starts.size() == 16);  // 0 .. 15: the last one scores token 19
  for (const auto& [start, count] : starts) CHECK(std::abs(count - 250) < 80);
  CHECK(b.scored == 16000);
}

TEST_CASE("validation: each row once, the last batch short") {
  const ValidationBatches batches(clm_blocks(counting(101), 8), 3);  // 13 rows
  std::vector<int32_t> seen;
  int64_t scored = 0;
  for (int64_t i = 0; i < batches.count(); ++i) {
    const Batch b = batches.at(i);
    scored += b.scored;
    for (int32_t block : blocks_of(b, 8)) seen.push_back(block);
  }
  REQUIRE(seen.size() == 13);
  for (int32_t i = 0; i < 13; ++i) CHECK(seen[size_t(i)] == i);
  CHECK(scored == 101);
  CHECK(batches.fingerprint() != ValidationBatches(clm_blocks(counting(100), 8), 3).fingerprint());
}

TEST_CASE("too little data and wrong numbers are named") {
  CHECK_THROWS_WITH(clm_blocks(counting(1), 4, Targets::next), Contains("too short (tokens: 1)"));
  CHECK_THROWS_WITH(clm_blocks(counting(1), 4), Contains("too short (tokens: 1)"));
  CHECK_THROWS_WITH(clm_blocks(counting(3), 4, Targets::preceding, LastRow::drop), Contains("full row of 4"));
  CHECK_THROWS_WITH(clm_random_crops(counting(4), 4, 0), Contains("4 tokens hold no row of 4"));
  CHECK_THROWS_WITH(clm_blocks(counting(4), 0), Contains("got 0"));
  CHECK_THROWS_WITH(make_batches(clm_blocks(counting(9), 4), {.rank = 2, .world = 2}), Contains("rank 2"));
  CHECK_THROWS_WITH(make_batches(clm_blocks(counting(9), 4), {.batch = 0}), Contains("got 0"));
}

TEST_CASE("an error in the prefetch thread comes out of next") {
  struct Broken : Rows {
    int64_t count() const override { return 4; }
    int64_t length() const override { return 1; }
    int64_t fingerprint() const override { return 1; }
    void fill(int64_t, int64_t index, const RowView&) const override {
      engine::check(index != 2, "row 2 is broken");
    }
  };
  Prefetch<Batch> source(make_batches(std::make_shared<Broken>(), {.order = Order::sequential}), std::identity());
  source.next();
  source.next();
  CHECK_THROWS_WITH(source.next(), "row 2 is broken");
  CHECK_THROWS_WITH(source.next(), "row 2 is broken");
  source.seek({.rows = 3});
  CHECK_NOTHROW(source.next());
}
