// The rungs of engine/bench/ladder.h: every one gives the product, and the benchmark has a row for each.
#include "engine/bench/ladder.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/cpu/parallel.h"
#include "largest_gap.h"

using namespace engine;

TEST_CASE("every rung of the ladder gives the product") {
  const int64_t m = kLadderRows, n = 2 * kLadderCols, k = 401;  // k of no block's size, and above a slice's
  std::vector<float> a(size_t(m * k)), b(size_t(k * n));
  for (size_t i = 0; i < a.size(); ++i) a[i] = float(i * 31 % 97) / 97 - 0.5f;
  for (size_t i = 0; i < b.size(); ++i) b[i] = float(i * 43 % 89) / 89 - 0.5f;
  for (const LadderRung& rung : ladder_rungs()) {
    INFO(rung.name);
    std::vector<float> c(size_t(m * n), std::nanf(""));
    rung.run({a.data(), b.data(), c.data(), m, n, k});
    double worst = 0;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t p = 0; p < k; ++p) sum += double(a[size_t(i * k + p)]) * double(b[size_t(p * n + j)]);
        worst = larger(worst, sum - double(c[size_t(i * n + j)]));
      }
    CHECK(worst < 1e-4);
  }
}

TEST_CASE("bench ladder: a row for each rung, and the top again on all threads") {
  const LadderOptions small = {.repeats = 1, .m = kLadderRows, .n = kLadderCols, .k = 64};
  const int before = cpu::thread_count();
  cpu::set_thread_count(2);
  const auto rows = bench_ladder({}, small);
  CHECK(cpu::thread_count() == 2);
  cpu::set_thread_count(before);
  REQUIRE(rows.size() == ladder_rungs().size() + 1);
  for (const BenchResult& r : rows) {
    INFO(r.name);
    CHECK(r.value > 0);
    CHECK(r.fraction == Approx(r.value / r.ceiling));
    CHECK(r.unit == "GFLOP/s");
  }
  CHECK(rows.front().name == "loops: the three loops of the definition");
  CHECK(rows.back().name.find("engine, 2 threads") == 0);
  CHECK(bench_ladder("packed", small).size() == 1);
  CHECK_THROWS_WITH(bench_ladder("pakced", small), "bench: no rung 'pakced'; the nearest is 'packed'");
  CHECK_THROWS_WITH(bench_ladder("packed", {.m = 100}),
                    "bench: rungs multiply [100, k] x [k, 768], but have no edges: rows in 168s, columns in "
                    "96s");
}
