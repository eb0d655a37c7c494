// Which ranks have the same GPU, from what each says of its own.
#include "engine/comm/device_sharers.h"

#include <catch2/catch.hpp>

#include "engine/comm/rank_threads.h"
#include "engine/core/side_queue.h"

using namespace engine;

namespace {

thread_local std::string mine;

/// Gives Device::cuda a side queue whose device is `mine`, while it lives.
struct Identified {
  Identified() {
    set_side_queue(Device::cuda, {.begin = [] { return static_cast<void*>(nullptr); },
                                  .end = [] { return int64_t(0); },
                                  .done = [](int64_t) { return true; },
                                  .identity = [] { return mine; }});
  }
  ~Identified() { set_side_queue(Device::cuda, before); }
  const SideQueue before = side_queue_of(Device::cuda) ? *side_queue_of(Device::cuda) : SideQueue{};
};

std::vector<int> counts(const std::vector<std::string>& devices, Device device) {
  std::vector<int> out(devices.size());
  run_rank_threads(int(devices.size()), [&](Communicator& ranks) {
    mine = devices[size_t(ranks.rank())];
    out[size_t(ranks.rank())] = count_device_sharers(ranks, device);
  });
  return out;
}

}  // namespace

TEST_CASE("device sharers: ranks count those that name the same device") {
  const Identified device;
  CHECK(counts({"a"}, Device::cuda) == std::vector<int>{1});
  // Each is shown one card of its own, the first by its own count.
  CHECK(counts({"a", "b", "c", "d"}, Device::cuda) == std::vector<int>{1, 1, 1, 1});
  CHECK(counts({"a", "b", "a", "a"}, Device::cuda) == std::vector<int>{3, 1, 3, 3});
  // What has no identity cannot be shared.
  CHECK(counts({"", "", "a"}, Device::cuda) == std::vector<int>{1, 1, 1});
  CHECK(counts({"a", "a"}, Device::cpu) == std::vector<int>{1, 1});
}

TEST_CASE("device sharers: a device that does not tell ends all ranks") {
  const Identified device;
  SideQueue broken = *side_queue_of(Device::cuda);
  broken.identity = []() -> std::string { throw Error("the device is lost"); };
  set_side_queue(Device::cuda, broken);
  CHECK_THROWS_WITH(counts({"a", "b"}, Device::cuda), Catch::Contains("the device is lost"));
}
