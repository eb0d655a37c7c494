// The stand-in's device memory and streams, where nothing is wrong.
#include <catch2/catch.hpp>
#include <cmath>

#include "cuda_test.h"

namespace engine::cuda_host {
namespace {

size_t memory_in_use() {
  standin::synchronize_device();  // releases are done in order, like all else
  return standin::device_memory_use().in_use;
}

TEST_CASE("device memory: aligned, NaN when fresh, used again, counted") {
  const size_t before = memory_in_use();
  void* first = standin::device_allocate(1000);
  void* second = standin::device_allocate(1000);
  CHECK(reinterpret_cast<uintptr_t>(first) % 256 == 0);
  CHECK(reinterpret_cast<uintptr_t>(second) % 256 == 0);
  CHECK(standin::device_memory_use().in_use == before + 2000);
  float value = 0;
  current_stream().copy(&value, first, sizeof value);
  current_stream().synchronize();
  CHECK(std::isnan(value));
  standin::device_release(first);
  CHECK(standin::device_allocate(900) == first);
  standin::device_release(first);
  standin::device_release(second);
  CHECK(standin::device_memory_use().in_use == before);
  CHECK_THROWS_WITH(standin::device_release(second), Catch::Contains("never allocated, or twice"));
}

TEST_CASE("device memory: many blocks of many sizes, given back in another order, leave no gaps") {
  const size_t before = memory_in_use();
  std::vector<void*> blocks;
  for (int i = 0; i < 200; ++i) blocks.push_back(standin::device_allocate(size_t(i * 37 % 5000)));
  for (int i = 0; i < 200; ++i) standin::device_release(blocks[size_t(i * 77 % 200)]);
  CHECK(standin::device_memory_use().in_use == before);
  void* large = standin::device_allocate(size_t(1) << 20);
  CHECK(large <= blocks[0]);
  standin::device_release(large);
}

TEST_CASE("device memory: more than there is") {
  CHECK_THROWS_WITH(standin::device_allocate(size_t(1) << 50),
                    Catch::Contains("out of device memory: asked for 1125899906842624 bytes"));
}

TEST_CASE("a stream does nothing until somebody waits") {
  DeviceArray<float> x(4, {1, 2, 3, 4});
  std::vector<float> values = {5, 6, 7, 8};
  standin::Stream stream;
  stream.copy(x.p, values.data(), sizeof(float) * 4);
  values[0] = 9;  // read when the copy is done
  stream.synchronize();
  CHECK(x.read() == std::vector<float>{9, 6, 7, 8});
  stream.fill(x.p, 0, sizeof(float) * 2);
  stream.synchronize();
  CHECK(x.read() == std::vector<float>{0, 0, 7, 8});
}

TEST_CASE("an error leaves the stream usable, and memory that was to be released is") {
  struct Args {
    float* y;
  };
  const size_t before = memory_in_use();
  {
    DeviceArray<float> x(4, {1, 2, 3, 4});
    launch<NoShared, Args>([](Args a) { global(a.y)[threadIdx.x] = 1.0f; }, 1, 32, current_stream(), {x.p});
  }
  CHECK_THROWS_AS(current_stream().synchronize(), standin::KernelError);
  CHECK(standin::device_memory_use().in_use == before);
  DeviceArray<float> x(4, {1, 2, 3, 4});
  CHECK(x.read() == std::vector<float>{1, 2, 3, 4});
}

TEST_CASE("thousands of launches: stamps of old ones are no races") {
  struct Args {
    int* y;
  };
  DeviceArray<int> y(64, std::vector<int>(64, 0));
  for (int i = 0; i < 2500; ++i)
    launch<NoShared, Args>([](Args a) { global(a.y)[blockIdx.x * 32 + (31 - threadIdx.x)] += 1; }, 2, 32,
                           current_stream(), {y.p});
  CHECK(y.read() == std::vector<int>(64, 2500));
}

}  // namespace
}  // namespace engine::cuda_host
