// What a device's memory can do: the whole of what tensors ask of a backend besides kernels.
//
// The host's is built in. A backend hands in its own before main() or at start-up (set_device_memory), so
// that core knows no backend; a device that nobody has handed in is an Error where memory of it is asked for.
// Read next: allocator.h, which keeps blocks of each device for reuse.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/core/device.h"

namespace engine {

constexpr size_t kAlignment = 64;

/// What is in a block that is handed out.
enum class Contents : uint8_t { any, zeros };

/// Where the two sides of a copy lie.
enum class Transfer : uint8_t { within, from_host, to_host };

struct DeviceMemory {
  /// A new block, at least kAlignment aligned; null when the device has no more.
  void* (*allocate)(size_t bytes, Contents contents);
  void (*release)(void* block, size_t bytes);
  /// Moves bytes, in order with the device's kernels. One that ends or begins on the host is done when it
  /// returns.
  void (*copy)(void* to, const void* from, size_t bytes, Transfer transfer);
  /// Sets every byte, in order with the device's kernels.
  void (*fill)(void* block, int byte, size_t bytes);
  /// Waits until everything that was asked of the device is done.
  void (*synchronize)();
  /// Makes the device ready; an Error of one line where it cannot be had. Null: nothing to do.
  void (*open)() = nullptr;
  /// Bytes that the device could still hand out. Null: nobody knows.
  size_t (*available)() = nullptr;
};

/// Error: the device has no backend in this build.
const DeviceMemory& memory_of(Device device);
void set_device_memory(Device device, const DeviceMemory& memory);

/// How often the host has waited for the device: at every copy to the host and every synchronize(). A backend
/// notes it. For tests of what must not wait.
uint64_t host_waits(Device device);
void note_host_wait(Device device);

/// Error: this build or this machine has no such device. The message says what there is, and what to do.
void require_device(Device device);

}  // namespace engine
