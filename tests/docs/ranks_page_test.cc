// The answers to the exercises of docs/10-many-processes.md.
#include <catch2/catch.hpp>
#include <mutex>
#include <set>

#include "engine/comm/rank_threads.h"
#include "engine/comm/tree_sum.h"
#include "models/parameter_list.h"
#include "models/size_presets.h"
#include "train/rank_plan.h"
#include "train/update.h"

using namespace engine;

namespace {

float tree(const std::vector<float>& leaves) {
  float sum = 0;
  tree_sum(reinterpret_cast<const char*>(leaves.data()), int(leaves.size()), 1, DType::f32,
           reinterpret_cast<char*>(&sum), DType::f32);
  return sum;
}

}  // namespace

TEST_CASE("exercise 10.1: which micro-batches a rank has") {
  const int64_t accumulate = 2;
  std::set<int64_t> all, of_rank_1;
  std::mutex mutex;
  run_rank_threads(4, [&](Communicator& ranks) {
    const std::lock_guard lock(mutex);
    for (int64_t i = 0; i < accumulate; ++i) {
      all.insert(i * ranks.size() + ranks.rank());
      if (ranks.rank() == 1) of_rank_1.insert(i * ranks.size() + ranks.rank());
    }
  });
  CHECK(of_rank_1 == std::set<int64_t>{1, 5});
  CHECK(all == std::set<int64_t>{0, 1, 2, 3, 4, 5, 6, 7});
}

TEST_CASE("exercise 10.2: the order of additions") {
  const std::vector<float> g = {1e8f, 1, -1e8f, 1};
  CHECK(((g[0] + g[1]) + g[2]) + g[3] == 1);
  CHECK(tree(g) == 2);
}

TEST_CASE("exercise 10.3: ranks that are no power of two") {
  const std::vector<float> g = {1e8f, 0, 0, -1e8f, 1, 0};
  CHECK(tree(g) == 0);
  CHECK(tree({tree({g[0], g[3]}), tree({g[1], g[4]}), tree({g[2], g[5]})}) == 1);
  CHECK(tree({tree({g[0], g[2], g[4]}), tree({g[1], g[3], g[5]})}) == 0);
}

TEST_CASE("exercise 10.4: memory of a rank") {
  const models::ModelConfig config = models::model_preset("gpt-1.3b");
  const double n = double(models::parameter_count(config));
  CHECK(train::rank_memory(config, 8, 0).total() / n == Approx(18).epsilon(0.001));
  CHECK(train::rank_memory(config, 8, 1).total() / n == Approx(7.5).epsilon(0.05));
}

TEST_CASE("exercise 10.5: an exchange that is not hidden") {
  CHECK(train::efficiency_of(1, 0.5, 0.75, 0, 0) == Approx(1 / 1.3));
}
