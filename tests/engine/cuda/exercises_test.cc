// The answers to the exercises of docs/08-kernels-gpu.md.
#include <catch2/catch.hpp>

#include "cuda_test.h"
#include "engine/cuda/host/count.h"
#include "engine/cuda/vectors.h"

using Catch::Matchers::Contains;

namespace engine::cuda_host {
namespace {

struct Args {
  const float* x;
  float* y;
  int number;
};

/// What one block of 32 threads asks of memory.
standin::Traffic counted(void (*kernel)(Args), int number) {
  standin::settings().count = true;  // before the memory is taken: it is what is watched
  DeviceArray<float> x(1024, std::vector<float>(1024, 1.0f)), y(1024);
  standin::reset_traffic();
  run<NoShared>(kernel, 1, 32, Args{x.p, y.p, number});
  standin::settings().count = false;
  return standin::total_traffic();
}

standin::Traffic reads_of_stride(int stride) {
  return counted(
      [](Args a) {
        const float v = global(a.x)[int(threadIdx.x) * a.number];
        global(a.y)[int(threadIdx.x)] = v;
      },
      stride);
}

standin::Traffic three_passes() {
  return counted(
      [](Args a) {
        float sum = 0;
        for (int pass = 0; pass < 3; ++pass)
          for (int i = int(threadIdx.x); i < 256; i += 32) sum += global(a.x)[i];
        global(a.y)[int(threadIdx.x)] = sum;
      },
      0);
}

std::vector<float> sums_of_lanes() {
  DeviceArray<float> y(32);
  run<NoShared, Args>([](Args a) { global(a.y)[int(threadIdx.x)] = warp_sum(float(threadIdx.x)); }, 1, 32,
                      {nullptr, y.p, 0});
  return y.read();
}

struct Neighbours {
  SharedArray<float, 64> x;
};
void read_neighbour(bool barrier) {
  DeviceArray<float> y(64);
  run<Neighbours, Args>(
      [](Args a) {
        auto& s = block_shared<Neighbours>();
        const int t = int(threadIdx.x);
        s.x[t] = float(t);
        if (a.number) __syncthreads();
        global(a.y)[t] = s.x[(t + 1) % 64];
      },
      1, 64, {nullptr, y.p, barrier});
}

TEST_CASE("exercise 8.1: sectors of a stride") {
  CHECK(reads_of_stride(2).read_sectors == 8);
  CHECK(reads_of_stride(1).read_sectors == 4);
}

TEST_CASE("exercise 8.2: a grid is larger than the work") {
  CHECK(blocks_for(1000, 256).x == 4);
  CHECK(4 * 256 - 1000 == 24);
}

TEST_CASE("exercise 8.3: a sum over lanes") {
  for (float sum : sums_of_lanes()) CHECK(sum == 496);
}

TEST_CASE("exercise 8.4: a missing barrier") {
  CHECK_THROWS_WITH(read_neighbour(false), Contains("race in shared memory") || Contains("nobody wrote"));
  CHECK_NOTHROW(read_neighbour(true));
}

TEST_CASE("exercise 8.5: what crosses to memory") {
  CHECK(three_passes().read_bytes == 3 * 1024);
  CHECK(three_passes().dram_read == 1024);
}

}  // namespace
}  // namespace engine::cuda_host
