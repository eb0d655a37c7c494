// Read first: side_queue.h.
#include "engine/core/side_queue.h"

namespace engine {
namespace {

int place = 0, sharers = 1;

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

int device_place() { return place; }
void set_device_place(int taken) { place = taken; }

int device_sharers() { return sharers; }
void set_device_sharers(int processes) { sharers = processes; }

}  // namespace engine
