// The ladder of docs/08-kernels-gpu.md: softmax of rows, from the loop one would write first to the kernel
// that a GPU wants. Every rung gives the same result; what it asks of memory is counted by the traffic model.
#include <catch2/catch.hpp>

#include "cuda_test.h"
#include "engine/cuda/host/count.h"
#include "engine/cuda/vectors.h"

namespace engine::cuda_host {
namespace {

constexpr int kRows = 64, kColumns = 256;

struct Softmax {
  const float* x;  // [kRows, kColumns]
  float* y;
};

// Rung 1: a thread per row.
__global__ void __launch_bounds__(64, 1) thread_per_row(Softmax a) {
  const int row = int(threadIdx.x);
  const auto x = global(a.x) + row * kColumns;
  const auto y = global(a.y) + row * kColumns;
  float top = -INFINITY, sum = 0;
  for (int i = 0; i < kColumns; ++i) top = std::fmax(top, float(x[i]));
  for (int i = 0; i < kColumns; ++i) sum += std::exp(float(x[i]) - top);
  for (int i = 0; i < kColumns; ++i) y[i] = std::exp(float(x[i]) - top) / sum;
}

// Rung 2: a warp per row, neighbours read neighbours.
__global__ void __launch_bounds__(32, 1) warp_per_row(Softmax a) {
  const int row = int(blockIdx.x), lane = int(threadIdx.x);
  const auto x = global(a.x) + row * kColumns;
  const auto y = global(a.y) + row * kColumns;
  float top = -INFINITY, sum = 0;
  for (int i = lane; i < kColumns; i += 32) top = std::fmax(top, float(x[i]));
  top = warp_max(top);
  for (int i = lane; i < kColumns; i += 32) sum += std::exp(float(x[i]) - top);
  sum = warp_sum(sum);
  for (int i = lane; i < kColumns; i += 32) y[i] = std::exp(float(x[i]) - top) / sum;
}

// Rung 3: the row stays in registers, in packs of 16 bytes: one read of memory in place of three.
__global__ void __launch_bounds__(32, 1) row_in_registers(Softmax a) {
  constexpr int kPacks = kColumns / (32 * 4);
  const int row = int(blockIdx.x), lane = int(threadIdx.x);
  const auto x = global(a.x) + row * kColumns;
  const auto y = global(a.y) + row * kColumns;
  float v[kPacks][4], top = -INFINITY, sum = 0;
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    load_n(x + (p * 32 + lane) * 4, v[p]);
    for (int j = 0; j < 4; ++j) top = std::fmax(top, v[p][j]);
  }
  top = warp_max(top);
#pragma unroll
  for (int p = 0; p < kPacks; ++p)
    for (int j = 0; j < 4; ++j) v[p][j] = std::exp(v[p][j] - top), sum += v[p][j];
  sum = 1 / warp_sum(sum);
#pragma unroll
  for (int p = 0; p < kPacks; ++p) {
    for (int j = 0; j < 4; ++j) v[p][j] *= sum;
    store_n(y + (p * 32 + lane) * 4, v[p], false);
  }
}

struct Rung {
  std::vector<float> y;
  standin::Traffic traffic;
};
Rung climb(void (*kernel)(Softmax), int blocks, int threads) {
  std::vector<float> values(size_t(kRows) * kColumns);
  for (size_t i = 0; i < values.size(); ++i) values[i] = float((i * 37) % 101) * 0.05f;
  standin::settings().count = true;  // before the memory is taken: it is what is watched
  DeviceArray<float> x(values.size(), values), y(values.size());
  standin::reset_traffic();
  run<NoShared>(kernel, unsigned(blocks), threads, Softmax{x.p, y.p});
  standin::settings().count = false;
  return {y.read(), standin::total_traffic()};
}

TEST_CASE("the ladder: one result, less and less asked of memory") {
  const Rung first = climb(thread_per_row, 1, kRows), second = climb(warp_per_row, kRows, 32),
             third = climb(row_in_registers, kRows, 32);
  for (size_t i = 0; i < first.y.size(); ++i) {
    REQUIRE(second.y[i] == Approx(first.y[i]).epsilon(1e-5));
    REQUIRE(third.y[i] == Approx(first.y[i]).epsilon(1e-5));
  }
  constexpr uint64_t kBytes = uint64_t(kRows) * kColumns * 4;
  for (const Rung* rung : {&first, &second, &third}) {
    CHECK(rung->traffic.dram_read == kBytes);
    CHECK(rung->traffic.dram_write == kBytes);
  }
  CHECK(first.traffic.sector_factor() == 8);  // every lane fetches 32 bytes for four
  CHECK(second.traffic.sector_factor() == 1);
  CHECK(third.traffic.sector_factor() == 1);
  CHECK(first.traffic.read_bytes == 3 * kBytes);
  CHECK(second.traffic.read_bytes == 3 * kBytes);
  CHECK(third.traffic.read_bytes == kBytes);
}

}  // namespace
}  // namespace engine::cuda_host
