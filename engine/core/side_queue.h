// A second queue of a device's work, for what moves between ranks while the first one computes, and which of a
// machine's devices a rank takes. Read first: memory.h.
#pragma once

#include <cstdint>

#include "engine/core/device.h"

namespace engine {

struct SideQueue {
  /// Work from here to end() goes to the side queue, behind all that the device was asked for before. What is asked
  /// for after end() does not wait for it. The answer is what a library puts work there with: a GPU's stream.
  void* (*begin)();
  /// Returns the number of the place that the side queue has got to.
  int64_t (*end)();
  /// Whether its work up to that place is done; without waiting, where that can be told. Asked until it is, once for
  /// each place.
  bool (*done)(int64_t place);
  /// How many processes of this machine take the same device, this one included. Null: this one alone.
  int (*sharers)() = nullptr;
};
/// Null: the device has none.
const SideQueue* side_queue_of(Device device);
void set_side_queue(Device device, const SideQueue& queue);

/// Of several devices of a kind, the one that this process takes: number `place` modulo how many there are,
/// and the processes of this machine that take one so, this one included. Set before the device is opened.
struct DevicePlace {
  int place = 0, processes = 1;
  /// How many of the processes take the same device as this one, where there are `devices`.
  int sharers(int devices) const;
};
DevicePlace device_place();
void set_device_place(DevicePlace place);

}  // namespace engine
