// A second queue of a device's work, for what moves between ranks while the first one computes, and which of a
// machine's devices a rank takes. Read first: memory.h.
#pragma once

#include <cstdint>
#include <string>

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
  /// Tells the device from all others of every machine. Null: what it stands for cannot be shared.
  std::string (*identity)() = nullptr;
};
/// Null: the device has none.
const SideQueue* side_queue_of(Device device);
void set_side_queue(Device device, const SideQueue& queue);

/// Of several devices of a kind this process takes number `place`, modulo how many it sees. Set before the
/// device is opened.
int device_place();
void set_device_place(int place);

/// How many processes have the device that this one has, this one included: free memory is divided by it.
/// They know only from each other (comm/device_sharers.h), since a launcher may show each process a device of
/// its own.
int device_sharers();
void set_device_sharers(int processes);

}  // namespace engine
