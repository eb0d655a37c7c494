// The stand-in's device memory.
//
// It is mapped twice. The address that the host holds ("device pointer") may be neither read nor written:
// host code that follows one, or a kernel that goes round global(), stops at that very instruction with a
// message. Kernels and copies go through a second mapping of the same pages, a constant distance away.
//
// Fresh and released memory is NaN in every float type, blocks lie apart, and every block knows its bounds
// and who touched it (stamp.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/cuda/host/stamp.h"

namespace engine::standin {

struct Allocation {
  char* begin = nullptr;  // as kernels see it
  size_t bytes = 0;
  Cell* cells = nullptr;        // one for two bytes; null: allocated without checks
  uint32_t* sectors = nullptr;  // one for 32 bytes, while counting: which launch met it first (count.h)
};

/// At least 256-byte aligned. An Error when the device has no more.
void* device_allocate(size_t bytes);
/// Gives back what device_allocate() returned; null does nothing. Takes effect at once: work that is still
/// queued on a stream loses its memory. (stream.h: release_in_order().)
void device_release(void* p);

/// Forgets what was written to part of a block, as if it had just been handed out.
void device_renew(void* p, size_t bytes);

/// The block that holds this device pointer, or one just past its end; null when there is none.
Allocation* allocation_of(const void* p);
/// Whether the address lies in device memory at all.
bool is_device_pointer(const void* p);

extern ptrdiff_t view_distance;
/// The address at which kernels and copies reach what a device pointer names.
template <class T>
inline T* kernel_view(T* p) {
  return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(p) + uintptr_t(view_distance));
}

struct DeviceMemoryUse {
  size_t in_use = 0, peak = 0, capacity = 0;  // bytes
};
DeviceMemoryUse device_memory_use();

/// Turns every stamp into kLongAgo: launch numbers begin again.
void forget_launches();

}  // namespace engine::standin
