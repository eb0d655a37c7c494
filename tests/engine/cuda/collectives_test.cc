// Every barrier and collective of the stand-in, by value.
#include <catch2/catch.hpp>

#include "cuda_test.h"

namespace engine::cuda_host {
namespace {

TEST_CASE("a kernel sees its thread, its block and its grid") {
  struct Args {
    int* out;
  };
  const auto kernel = [](Args a) {
    const auto out = global(a.out);
    const int block = int(blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z));
    out[block * int(blockDim.x) + int(threadIdx.x)] = block * 1000 + int(threadIdx.x);
  };
  under_every_schedule([&] {
    DeviceArray<int> out(2 * 3 * 2 * 64);
    run<NoShared, Args>(kernel, dim3(2, 3, 2), 64, {out.p});
    const std::vector<int> got = out.read();
    for (int i = 0; i < int(got.size()); ++i) REQUIRE(got[size_t(i)] == i / 64 * 1000 + i % 64);
  });
}

TEST_CASE("__syncthreads: what was written before is read after, across warps") {
  struct Shared {
    SharedArray<int, 96> x;
  };
  struct Args {
    int* out;
  };
  const auto kernel = [](Args a) {
    auto& s = block_shared<Shared>();
    const int t = int(threadIdx.x);
    int v = t;
    for (int round = 0; round < 3; ++round) {
      s.x[t] = v;
      __syncthreads();
      v = s.x[(t + 33) % 96];
      __syncthreads();
    }
    global(a.out)[t] = v;
  };
  under_every_schedule([&] {
    DeviceArray<int> out(96);
    run<Shared, Args>(kernel, 1, 96, {out.p});
    const std::vector<int> got = out.read();
    for (int t = 0; t < 96; ++t) REQUIRE(got[size_t(t)] == (t + 99) % 96);
  });
}

TEST_CASE("threads that have returned are not waited for") {
  struct Args {
    int* out;
  };
  const auto kernel = [](Args a) {
    if (threadIdx.x >= 40) return;
    __syncthreads();
    global(a.out)[threadIdx.x] = 1;
  };
  under_every_schedule([&] {
    DeviceArray<int> out(64, std::vector<int>(64, 0));
    run<NoShared, Args>(kernel, 1, 64, {out.p});
    const std::vector<int> got = out.read();
    for (int t = 0; t < 64; ++t) REQUIRE(got[size_t(t)] == (t < 40));
  });
}

TEST_CASE("shuffles: every kind, every width") {
  struct Args {
    int *direct, *crossed, *down, *up;
    int width, by;
  };
  const auto kernel = [](Args a) {
    const int t = int(threadIdx.x), v = 100 + t;
    global(a.direct)[t] = __shfl_sync(kFull, v, a.by, a.width);
    global(a.crossed)[t] = __shfl_xor_sync(kFull, v, a.by, a.width);
    global(a.down)[t] = __shfl_down_sync(kFull, v, a.by, a.width);
    global(a.up)[t] = __shfl_up_sync(kFull, v, a.by, a.width);
  };
  under_every_schedule([&] {
    for (int width : {4, 8, 16, 32})
      for (int by = 0; by < width; by = by * 2 + 1) {
        DeviceArray<int> direct(32), crossed(32), down(32), up(32);
        run<NoShared, Args>(kernel, 1, 32, {direct.p, crossed.p, down.p, up.p, width, by});
        for (int t = 0; t < 32; ++t) {
          const int segment = t / width * width, place = t % width;
          INFO("width " << width << " by " << by << " lane " << t);
          REQUIRE(direct.read()[size_t(t)] == 100 + segment + by);
          REQUIRE(crossed.read()[size_t(t)] == 100 + (t ^ by));
          REQUIRE(down.read()[size_t(t)] == 100 + (place + by < width ? t + by : t));
          REQUIRE(up.read()[size_t(t)] == 100 + (place >= by ? t - by : t));
        }
      }
  });
}

TEST_CASE("shuffles move double and structs, and disjoint masks gather side by side") {
  struct Pair {
    double a;
    int b;
  };
  struct Args {
    double* out;
  };
  const auto kernel = [](Args a) {
    const int t = int(threadIdx.x);
    const unsigned half = t < 16 ? 0xffffu : 0xffff0000u;
    double sum = 0;
    for (int i = 0; i < 16; ++i) {
      const Pair p = __shfl_sync(half, Pair{t + 0.5, t}, t / 16 * 16 + i);
      sum += p.a * p.b;
    }
    global(a.out)[t] = sum;
  };
  under_every_schedule([&] {
    DeviceArray<double> out(32);
    run<NoShared, Args>(kernel, 1, 32, {out.p});
    double expected[2] = {};
    for (int t = 0; t < 32; ++t) expected[t / 16] += (t + 0.5) * t;
    const std::vector<double> got = out.read();
    for (int t = 0; t < 32; ++t) REQUIRE(got[size_t(t)] == expected[t / 16]);
  });
}

TEST_CASE("votes") {
  struct Args {
    unsigned* ballots;
    int *any, *all;
  };
  const auto kernel = [](Args a) {
    const int t = int(threadIdx.x);
    global(a.ballots)[t] = __ballot_sync(kFull, t % 3 == 0);
    global(a.any)[t] = __any_sync(kFull, t == 31) * 2 + (__any_sync(kFull, t == 32) != 0);
    global(a.all)[t] = (__all_sync(kFull, t < 32) != 0) * 2 + (__all_sync(kFull, t < 31) != 0);
  };
  under_every_schedule([&] {
    DeviceArray<unsigned> ballots(32);
    DeviceArray<int> any(32), all(32);
    run<NoShared, Args>(kernel, 1, 32, {ballots.p, any.p, all.p});
    unsigned expected = 0;
    for (int t = 0; t < 32; t += 3) expected |= 1u << t;
    for (int t = 0; t < 32; ++t) {
      REQUIRE(ballots.read()[size_t(t)] == expected);
      REQUIRE(any.read()[size_t(t)] == 2);
      REQUIRE(all.read()[size_t(t)] == 2);
    }
  });
}

TEST_CASE("__syncwarp orders shared memory within a warp") {
  struct Shared {
    SharedArray<int, 32> x;
  };
  struct Args {
    int* out;
  };
  const auto kernel = [](Args a) {
    auto& s = block_shared<Shared>();
    const int t = int(threadIdx.x);
    s.x[t] = t;
    __syncwarp();
    global(a.out)[t] = s.x[31 - t];
  };
  under_every_schedule([&] {
    DeviceArray<int> out(32);
    run<Shared, Args>(kernel, 1, 32, {out.p});
    for (int t = 0; t < 32; ++t) REQUIRE(out.read()[size_t(t)] == 31 - t);
  });
}

TEST_CASE("warp_sum adds in one order, warp_max lets NaN win") {
  struct Args {
    float *sum, *max, *max_nan;
  };
  const auto kernel = [](Args a) {
    const int t = int(threadIdx.x);
    global(a.sum)[t] = warp_sum(1.0f / float(t + 1));
    global(a.max)[t] = warp_max(float((t * 7) % 32));
    global(a.max_nan)[t] = warp_max(t == 9 ? NAN : float(t));
  };
  std::vector<float> first;
  under_every_schedule([&] {
    DeviceArray<float> sum(32), max(32), max_nan(32);
    run<NoShared, Args>(kernel, 1, 32, {sum.p, max.p, max_nan.p});
    if (first.empty()) first = sum.read();
    CHECK(std::memcmp(first.data(), sum.read().data(), 32 * sizeof(float)) == 0);
    CHECK(first[0] == Approx(4.05849513));
    for (int t = 0; t < 32; ++t) {
      REQUIRE(max.read()[size_t(t)] == 31);
      REQUIRE(std::isnan(max_nan.read()[size_t(t)]));
    }
  });
}

TEST_CASE("blocks on several workers give what one gives") {
  struct Shared {
    SharedArray<float, 64> x;
  };
  struct Args {
    float* out;
  };
  const auto kernel = [](Args a) {
    auto& s = block_shared<Shared>();
    const int t = int(threadIdx.x);
    s.x[t] = float(t * int(blockIdx.x));
    __syncthreads();
    const float sum = warp_sum(float(s.x[63 - t]));
    global(a.out)[int(blockIdx.x) * 64 + t] = sum;
  };
  const auto result = [&](int workers) {
    standin::settings().workers = workers;
    DeviceArray<float> out(50 * 64);
    run<Shared, Args>(kernel, 50, 64, {out.p});
    standin::settings().workers = 1;
    return out.read();
  };
  const std::vector<float> one = result(1);
  CHECK(one == result(3));
  CHECK(one[64] == 1520);  // threads 32 .. 63 of block 1 are read by its first warp
}

}  // namespace
}  // namespace engine::cuda_host
