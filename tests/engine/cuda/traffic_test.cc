// The traffic model, against counts by hand.
#include <catch2/catch.hpp>

#include "cuda_test.h"
#include "engine/cuda/host/count.h"

namespace engine::cuda_host {
namespace {

class CountScope {
 public:
  CountScope() {
    standin::settings().count = true;
    standin::reset_traffic();
  }
  ~CountScope() { standin::settings().count = false; }
};

struct CopyArgs {
  const float* x;
  float* y;
  int stride, n;
};
void copy_kernel(CopyArgs a) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < a.n) {
    const float v = global(a.x)[i * a.stride];
    global(a.y)[i] = v;
  }
}

TEST_CASE("traffic: neighbours share sectors, lanes that stand apart do not") {
  const CountScope scope;
  constexpr int n = 1000;
  for (const int stride : {1, 2, 8, 32}) {
    standin::reset_traffic();
    DeviceArray<float> x(size_t(n) * size_t(stride), std::vector<float>(size_t(n) * size_t(stride), 1.0f)),
        y(n);
    run<NoShared>(copy_kernel, 4, 256, CopyArgs{x.p, y.p, stride, n});
    const standin::Traffic t = standin::total_traffic();
    INFO("stride " << stride);
    CHECK(t.launches == 1);
    CHECK(t.read_bytes == n * 4);
    CHECK(t.write_bytes == n * 4);
    CHECK(t.write_sectors == n * 4 / 32);
    const int a_sector = std::max(1, 8 / stride);  // lanes that share one
    CHECK(t.read_sectors == uint64_t(n / a_sector));
    CHECK(t.dram_read == uint64_t(n / a_sector) * 32);
    CHECK(t.dram_write == n * 4);
    CHECK(standin::predicted_seconds(t, {1e9, 1e30, 1e30}) ==
          Approx(double(t.dram_read + t.dram_write) * 1e-9));
  }
}

TEST_CASE("traffic: what is read twice crosses to memory once") {
  const CountScope scope;
  DeviceArray<float> x(1024, std::vector<float>(1024, 1.0f)), y(1024);
  struct Args {
    const float* x;
    float* y;
  };
  run<NoShared, Args>(
      [](Args a) {
        const int i = int(threadIdx.x);
        const float first = global(a.x)[i], second = global(a.x)[255 - i];
        global(a.y)[i] = first + second;
      },
      1, 256, {x.p, y.p});
  const standin::Traffic t = standin::total_traffic();
  CHECK(t.read_bytes == 2 * 256 * 4);
  CHECK(t.read_sectors == 2 * 256 / 8);
  CHECK(t.dram_read == 256 * 4);
}

struct Banks {
  SharedArray<float, 32 * 33> x;
};
struct BankArgs {
  int stride;
};
void bank_kernel(BankArgs a) {
  auto& s = block_shared<Banks>();
  s.x[int(threadIdx.x) * a.stride] = 1.0f;
}

TEST_CASE("traffic: lanes that want one bank wait for each other") {
  const CountScope scope;
  const auto conflicts = [](int stride) {
    standin::reset_traffic();
    run<Banks>(bank_kernel, 1, 32, BankArgs{stride});
    return standin::total_traffic().conflict_factor();
  };
  CHECK(conflicts(1) == 1);
  CHECK(conflicts(2) == 2);
  CHECK(conflicts(3) == 1);
  CHECK(conflicts(8) == 8);
  CHECK(conflicts(32) == 32);
  CHECK(conflicts(33) == 1);
}

TEST_CASE("traffic: by launch, and of products") {
  const CountScope scope;
  struct Args {
    float* y;
  };
  const auto kernel = [](Args a) {
    float d[4] = {};
    const uint32_t fragment[4] = {};
    for (int i = 0; i < 3; ++i) mma_16816<bf16>(d, fragment, 0, 0);
    global(a.y)[blockIdx.x * 32 + threadIdx.x] = d[0];
  };
  DeviceArray<float> y(64);
  for (int i = 0; i < 5; ++i) run<NoShared, Args>(kernel, 2, 32, {y.p});
  run<NoShared, Args>([](Args a) { global(a.y)[threadIdx.x] = 0.0f; }, 1, 64, {y.p});
  const auto launches = standin::traffic_by_launch();
  REQUIRE(launches.size() == 2);
  CHECK(launches[0].traffic.launches == 5);
  CHECK(launches[0].traffic.matrix_flop == 5u * 2 * 3 * 2 * 16 * 8 * 16);
  CHECK(launches[1].traffic.write_bytes == 256);
  CHECK(std::string(launches[1].launched.file).find("traffic_test.cc") != std::string::npos);
}

}  // namespace
}  // namespace engine::cuda_host
