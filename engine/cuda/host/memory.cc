// The stand-in's memory as engine/core knows a device's.
#include "engine/core/memory.h"

#include "engine/base/check.h"
#include "engine/cuda/host/device_memory.h"
#include "engine/cuda/host/stream.h"

namespace engine::standin {
namespace {

void* allocate(size_t bytes, Contents contents) {
  void* block = nullptr;
  try {
    block = device_allocate(bytes);
  } catch (const Error&) {
    synchronize_device();  // what was released may still be queued
    try {
      block = device_allocate(bytes);
    } catch (const Error&) {
      return nullptr;
    }
  }
  if (contents == Contents::zeros) current_stream().fill(block, 0, bytes);
  return block;
}

void release(void* block, size_t) { current_stream().release(block); }

void copy(void* to, const void* from, size_t bytes, Transfer transfer) {
  current_stream().copy(to, from, bytes);
  if (transfer != Transfer::within) current_stream().synchronize();
}

void fill(void* block, int byte, size_t bytes) { current_stream().fill(block, byte, bytes); }

}  // namespace
}  // namespace engine::standin

/// The name by which the linker keeps this file (CMakeLists.txt).
extern "C" const bool normlab_cuda_host_memory = [] {
  using namespace engine;
  set_device_memory(Device::cuda_host, {.allocate = standin::allocate,
                                        .release = standin::release,
                                        .copy = standin::copy,
                                        .fill = standin::fill,
                                        .synchronize = standin::synchronize_device});
  return true;
}();
