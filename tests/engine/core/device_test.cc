// Memory by device: what tensors ask of a device's table, and a device that has none.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/core/allocator.h"
#include "engine/core/tensor.h"

using namespace engine;
using Catch::Matchers::Contains;

namespace {

// A device whose memory nobody can read by its address: addresses are off by a bit that only its table knows
// of.
constexpr uintptr_t kFar = uintptr_t(1) << 62;
void* far(void* p) { return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(p) ^ kFar); }
const void* near(const void* p) {
  return reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(p) ^ kFar);
}
int live_blocks = 0;

const DeviceMemory far_memory = {
    .allocate =
        [](size_t bytes, Contents contents) {
          void* block = std::aligned_alloc(kAlignment, bytes);
          std::memset(block, contents == Contents::zeros ? 0 : 0x77, bytes);
          ++live_blocks;
          return far(block);
        },
    .release = [](void* block, size_t) { std::free(far(block)), --live_blocks; },
    .copy =
        [](void* to, const void* from, size_t bytes, Transfer transfer) {
          std::memcpy(transfer == Transfer::to_host ? to : far(to),
                      transfer == Transfer::from_host ? from : near(from), bytes);
        },
    .fill = [](void* block, int byte, size_t bytes) { std::memset(far(block), byte, bytes); },
    .synchronize = [] {},
};

// What a device's table is; empty in a build without the device.
DeviceMemory memory_or_none(Device device) {
  try {
    return memory_of(device);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

TEST_CASE("a device without a backend is an error that names it") {
  const DeviceMemory before = memory_or_none(Device::cuda);
  set_device_memory(Device::cuda, {});
  const std::string line = "device cuda: this build has cpu";
  CHECK_THROWS_WITH(memory_of(Device::cuda), Contains(line) && Contains("-DENGINE_CUDA=on"));
  CHECK_THROWS_WITH(require_device(Device::cuda), Contains(line));
  CHECK_THROWS_WITH(Tensor::empty({1}, DType::f32, Device::cuda), Contains(line));
  CHECK_THROWS_WITH(Tensor::from({1, 2}, {2}).to(Device::cuda), Contains(line));
  DeviceMemory broken = far_memory;
  broken.open = [] { fail("device cuda: out of order"); };
  set_device_memory(Device::cuda, broken);
  CHECK_THROWS_WITH(require_device(Device::cuda), "device cuda: out of order");
  set_device_memory(Device::cuda, before);
  CHECK(parse_device("cuda-host") == Device::cuda_host);
  CHECK_THROWS_WITH(parse_device("gpu"), "device gpu: expected cpu, cuda or cuda-host");
}

TEST_CASE("tensors live on the device that they are made on") {
  const DeviceMemory before = memory_or_none(Device::cuda_host);
  set_device_memory(Device::cuda_host, far_memory);
  const int64_t host = memory_statistics(Device::cpu).in_use;
  {
    const Tensor zeros = Tensor::zeros({2, 3}, DType::f32, Device::cuda_host);
    CHECK(zeros.device() == Device::cuda_host);
    CHECK(zeros.to_vector() == std::vector<double>(6, 0));
    CHECK(memory_statistics(Device::cpu).in_use == host);
    CHECK(memory_statistics(Device::cuda_host).in_use > 0);

    const Tensor x = Tensor::from({1, 2, 3, 4, 5, 6}, {2, 3}, DType::bf16).to(Device::cuda_host);
    CHECK(x.to_vector() == std::vector<double>{1, 2, 3, 4, 5, 6});
    CHECK(x.slice(1, 1, 3).to_vector() == std::vector<double>{2, 3, 5, 6});
    CHECK(x.transpose(0, 1).to(Device::cpu).to_vector() == std::vector<double>{1, 4, 2, 5, 3, 6});
    CHECK(x.slice(0, 1, 2).slice(1, 2, 3).item() == 6);
    CHECK(x.slice(0, 2, 2).to(Device::cpu).numel() == 0);

    const Tensor y = x.like({4}, DType::f32, Contents::zeros);
    CHECK(y.device() == Device::cuda_host);
    y.fill(2.5);
    CHECK(y.to_vector() == std::vector<double>(4, 2.5));
    CHECK(y.storage()->version == 1);
    y.fill(0);
    CHECK(y.to_vector() == std::vector<double>(4, 0));
    CHECK_FALSE(Tensor().to(Device::cuda_host).defined());
  }
  CHECK(memory_statistics(Device::cuda_host).in_use == 0);
  trim_memory(Device::cuda_host);
  CHECK(live_blocks == 0);
  set_device_memory(Device::cuda_host, before);
}

TEST_CASE("a process keeps to its share of a device, but takes what it needs") {
  const DeviceMemory before = memory_or_none(Device::cuda_host);
  set_device_memory(Device::cuda_host, far_memory);
  const auto held_after = [](const char* share) {
    trim_memory(Device::cuda_host);
    ::setenv("NORMLAB_DEVICE_SHARE", share, 1);
    int64_t most = 0;
    for (int64_t kib = 100; kib < 200; kib += 10) {  // each of another size, gone before the next
      Tensor::empty({kib * 1024}, DType::u8, Device::cuda_host);
      const MemoryStatistics s = memory_statistics(Device::cuda_host);
      most = std::max(most, s.in_use + s.cached);
    }
    return most;
  };
  CHECK(held_after("500000") <= 500000);
  CHECK(held_after("0") > 1000000);
  CHECK(held_after("1000") < 250000);  // one at a time
  CHECK_THROWS_WITH(held_after("half"), "NORMLAB_DEVICE_SHARE=half: expected a number of bytes");
  ::unsetenv("NORMLAB_DEVICE_SHARE");
  CHECK(memory_statistics(Device::cuda_host).in_use == 0);
  trim_memory(Device::cuda_host);
  CHECK(live_blocks == 0);
  set_device_memory(Device::cuda_host, before);
}

TEST_CASE("a copy converts between any dtypes and counts as an overwrite") {
  const DType all[] = {DType::f64, DType::f32, DType::bf16, DType::f16, DType::i32, DType::i64, DType::u8};
  const std::vector<double> values = {0, 1, 2, 3, 100, 127};
  for (const DType from : all)
    for (const DType to : all) {
      INFO(from << " to " << to);
      const Tensor x = Tensor::from(values, {2, 3}, from), y = Tensor::zeros({3, 2}, to).transpose(0, 1);
      y.copy_from(x);
      CHECK(y.to_vector() == values);
      CHECK(y.storage()->version == 1);
      if (!is_float(from) || !is_float(to)) {
        CHECK_THROWS_WITH(y.copy_from(x, true), Contains("cannot add"));
        continue;
      }
      y.copy_from(x, true);
      CHECK(y.to_vector()[5] == 254);
      CHECK(y.storage()->version == 2);
    }
}
