// Read first: memory.h. The table of devices, and the host's memory.
#include "engine/core/memory.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include "engine/base/check.h"

// A block that cannot be had is an error message (out of memory, allocator.cc); the sanitizers end the
// process unless they are told to answer as malloc does.
#if defined(__SANITIZE_ADDRESS__)
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
#elif defined(__SANITIZE_THREAD__)
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }
#endif

namespace engine {
namespace {

// Large blocks are mapped: their pages come zeroed, one by one as they are first touched, by the thread that
// touches them. So a fresh arena of zeros costs nothing until it is used, and then it is all threads that
// pay. Huge pages, where the system hands them out on request: a page fault costs a microsecond or more, and
// an arena of moments alone has a quarter of a million small pages, each of which faults twice (read, then
// written). Not under AddressSanitizer, which sees what malloc hands out.
constexpr size_t kMapped = size_t(1) << 20, kHuge = size_t(4) << 20;
#if defined(__SANITIZE_ADDRESS__)
constexpr bool is_mapped(size_t) { return false; }
#else
constexpr bool is_mapped(size_t bytes) { return bytes >= kMapped; }
#endif

void* host_allocate(size_t bytes, Contents contents) {
  if (!is_mapped(bytes)) {
    void* block = std::aligned_alloc(kAlignment, bytes);
    if (block && contents == Contents::zeros) std::memset(block, 0, bytes);
    return block;
  }
  void* block = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return nullptr;
  if (bytes >= kHuge) madvise(block, bytes, MADV_HUGEPAGE);  // a wish: no matter if it fails
  return block;
}

void host_release(void* block, size_t bytes) {
  if (is_mapped(bytes))
    munmap(block, bytes);
  else
    std::free(block);
}

void host_copy(void* to, const void* from, size_t bytes, Transfer) { std::memcpy(to, from, bytes); }
void host_fill(void* block, int byte, size_t bytes) { std::memset(block, byte, bytes); }
void host_synchronize() {}  // kernels of the CPU have run when their call returns

// A function's own, because a backend may call set_device_memory() before this file's statics are made.
DeviceMemory* table() {
  static DeviceMemory memory[kDevices] = {
      {host_allocate, host_release, host_copy, host_fill, host_synchronize}};
  return memory;
}

}  // namespace

const DeviceMemory& memory_of(Device device) {
  const DeviceMemory& memory = table()[int(device)];
  if (!memory.allocate) fail_without_backend(device);
  return memory;
}

void set_device_memory(Device device, const DeviceMemory& memory) { table()[int(device)] = memory; }

namespace {
std::atomic<uint64_t> waits[kDevices];
}
uint64_t host_waits(Device device) { return waits[int(device)].load(); }
void note_host_wait(Device device) { ++waits[int(device)]; }

void require_device(Device device) {
  const DeviceMemory& memory = memory_of(device);
  if (memory.open) memory.open();
}

void fail_without_backend(Device device) {
  std::string others;
  for (int i = 0; i < kDevices; ++i)
    if (table()[i].allocate) others += (others.empty() ? "" : ", ") + std::string(name_of(Device(i)));
  const bool stand_in = device == Device::cuda && table()[int(Device::cuda_host)].allocate;
  fail("device ", device, ": this build has ", others, "; ",
       stand_in ? "take cuda-host, which runs the same kernels on the CPU, or " : "take cpu, or ",
       "build with -DENGINE_CUDA=", device == Device::cuda ? "on" : "host");
}

}  // namespace engine
