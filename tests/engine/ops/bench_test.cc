// bench_ops on a thousandth of its sizes: every row runs and reports something sensible.
#include "engine/bench/ops_bench.h"
#include "engine/bench/traffic_bench.h"

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

#if defined(ENGINE_HAS_cuda_host)
TEST_CASE("traffic: kernels move hardly more than they must, in whole sectors and without bank conflicts",
          "[medium]") {
  const std::vector<TrafficCount> counts = count_ops();
  CHECK(counts.size() > 25);
  for (const TrafficCount& c : counts) {
    INFO(c.name << ": " << c.dram_read << " read, " << c.dram_write << " written, least " << c.least
                << ", sectors " << c.sector_factor << ", conflicts " << c.conflict_factor);
    CHECK(c.launches > 0);
    CHECK(c.least > 0);
    CHECK(c.dram_read + c.dram_write <= 1.05 * c.least);
    CHECK(c.dram_read + c.dram_write >= 0.95 * c.least);  // the counts have not lost any
    CHECK(c.conflict_factor <= 1.1);
    CHECK(c.sector_factor <= 1.1);
    CHECK(c.seconds > 0);
  }
}
TEST_CASE("traffic: one op, and an op that is none") {
  CHECK(count_ops("rope").size() == 2);
  CHECK_THROWS_WITH(count_ops("ropes"), "bench: no traffic is counted of op 'ropes'; the nearest is 'rope'");
}
#endif
