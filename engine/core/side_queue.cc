// Read first: side_queue.h.
#include "engine/core/side_queue.h"

namespace engine {
namespace {

DevicePlace place;

// A function's own, because a backend may set its queue before this file's statics are made.
SideQueue* table() {
  static SideQueue queues[kDevices] = {};
  return queues;
}

}  // namespace

const SideQueue* side_queue_of(Device device) {
  const SideQueue& queue = table()[int(device)];
  return queue.begin ? &queue : nullptr;
}

void set_side_queue(Device device, const SideQueue& queue) { table()[int(device)] = queue; }

int DevicePlace::sharers(int devices) const {
  const int behind =
      processes - 1 - place % devices;  // of those who begin at the same device, the last one's distance
  return behind / devices + 1;
}

DevicePlace device_place() { return place; }
void set_device_place(DevicePlace taken) { place = taken; }

}  // namespace engine
