// bench_ops on a thousandth of its sizes: every row runs and reports something sensible.
#include "engine/bench/ops_bench.h"

#include <catch2/catch.hpp>
#include <set>

using namespace engine;

TEST_CASE("every benchmark row runs and compares itself with a copy") {
  std::set<std::string> names;
  for (const BenchResult& r : bench_ops({}, {.repeats = 1, .scale = 0.001})) {
    INFO(r.name);
    CHECK(r.value > 0);
    CHECK(r.ceiling > 0);
    CHECK(r.fraction == Approx(r.value / r.ceiling));
    CHECK(r.unit == "GB/s");
    CHECK(names.insert(r.name).second);
  }
  CHECK(names.size() > 20);
  CHECK(bench_ops("adamw", {.repeats = 1, .scale = 0.001}).size() == 1);
}

TEST_CASE("a benchmark of an unknown op names the nearest") {
  CHECK_THROWS_WITH(bench_ops("geluu"), "bench: no row for op 'geluu'; the nearest is 'gelu'");
}
