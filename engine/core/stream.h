// Stream: an order of execution on a device. The CPU runs every kernel to its end before the call returns, so
// its one stream is empty; a CUDA stream wraps the driver's handle. Ops take the current stream from here.
#pragma once

#include "engine/core/device.h"

namespace engine {

struct Stream {
  Device device = Device::cpu;
  void* handle = nullptr;
};

/// Waits until everything issued on the stream is done.
inline void synchronize(const Stream&) {}

}  // namespace engine
