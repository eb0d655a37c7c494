// parallel_pieces: every piece once, the first error wins.
#include "data/parallel.h"

#include <catch2/catch.hpp>
#include <numeric>

#include "engine/base/check.h"

TEST_CASE("parallel_pieces runs every piece exactly once") {
  for (const int threads : {0, 1, 2, 3, 8}) {
    std::vector<int> runs(1000);
    data::parallel_pieces(runs.size(), threads, [&](size_t i) { ++runs[i]; });
    CHECK(runs == std::vector<int>(1000, 1));
  }
  data::parallel_pieces(0, 4, [](size_t) { FAIL("no piece to run"); });
}

TEST_CASE("parallel_pieces passes on the error of the first piece that failed") {
  for (const int threads : {1, 2, 8}) {
    // Pieces are handed out in order, so piece 0 has always started when another one fails.
    const auto work = [](size_t i) { engine::fail("piece ", i); };
    CHECK_THROWS_WITH(data::parallel_pieces(64, threads, work), "piece 0");
  }
}
