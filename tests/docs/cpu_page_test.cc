// The answers to the exercises of docs/07-kernels-cpu.md.
#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/cpu/parallel.h"

using namespace engine;

namespace {

/// Of a block of keys: the largest score, the sum of weights, the sum of weighted values.
struct Block {
  double top, weight, sum;
};
Block block(const std::vector<double>& scores, const std::vector<double>& values) {
  Block b{-INFINITY, 0, 0};
  for (double s : scores) b.top = std::max(b.top, s);
  for (size_t i = 0; i < scores.size(); ++i) {
    const double w = std::exp(scores[i] - b.top);
    b.weight += w, b.sum += w * values[i];
  }
  return b;
}
Block merge(const Block& a, const Block& b) {
  const double top = std::max(a.top, b.top), of_a = std::exp(a.top - top), of_b = std::exp(b.top - top);
  return {top, of_a * a.weight + of_b * b.weight, of_a * a.sum + of_b * b.sum};
}

int64_t pieces_of(int64_t n, int64_t grain, int threads) {
  const int before = cpu::thread_count();
  cpu::set_thread_count(threads);
  std::atomic<int64_t> pieces = 0, items = 0;
  cpu::parallel_chunks(n, grain, [&](int64_t begin, int64_t end) { ++pieces, items += end - begin; });
  cpu::set_thread_count(before);
  return items == n ? pieces.load() : -1;
}

}  // namespace

TEST_CASE("exercise 7.1: how often a number is used") {
  CHECK(14 * 32 / double(14 + 32) == Approx(9.7).epsilon(0.01));
}

TEST_CASE("exercise 7.2: merging blocks of a softmax") {
  const Block whole = block({1, 3, 2, 5}, {10, 20, 30, 40});
  const Block merged = merge(block({1, 3}, {10, 20}), block({2, 5}, {30, 40}));
  CHECK(merged.sum / merged.weight == Approx(whole.sum / whole.weight));
}

TEST_CASE("exercise 7.3: where a panel stays") {
  const double panel_b = 384 * 32 * 4, panel_a = 384 * 14 * 4, cycles = 384 * 28 / 2.0;
  CHECK((panel_b > 32 * 1024 && panel_b < 1024 * 1024));
  CHECK((panel_a + panel_b) / cycles == Approx(13).epsilon(0.05));
}

TEST_CASE("exercise 7.4: pieces of work") {
  for (int threads : {1, 2, 8}) CHECK(pieces_of(100000, 16384, threads) == 7);
}

TEST_CASE("exercise 7.5: an op that waits for memory") {
  CHECK(40e9 / (2 * 768 * 4) == Approx(6.5e6).epsilon(0.01));
}
