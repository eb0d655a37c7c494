// Read first: allocator.h.
#include "engine/core/allocator.h"

#include <atomic>
#include <map>
#include <mutex>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "engine/core/block_size.h"

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kReuse = false;  // let AddressSanitizer see every use after release
#else
constexpr bool kReuse = true;
#endif

namespace engine {
namespace {

struct Pool {
  std::mutex mutex;
  std::map<size_t, std::vector<void*>> free_blocks;  // by rounded size
  MemoryStatistics statistics;
};

Pool& pool(Device device) {
  static Pool* const pools =
      new Pool[kDevices];  // never destroyed: tensors in static storage may outlive them
  return pools[int(device)];
}

std::atomic<bool> poisoning{false};

void drop_cache(const DeviceMemory& memory, Pool& p) {
  for (auto& [size, blocks] : p.free_blocks) {
    for (void* block : blocks) memory.release(block, size);
    p.statistics.cached -= int64_t(size * blocks.size());
  }
  p.free_blocks.clear();
}

}  // namespace

void* allocate(Device device, size_t bytes, Contents contents) {
  check(bytes < (size_t(1) << 62), "allocate: ", bytes, " bytes is more than any machine has");
  const size_t size = block_size(bytes);
  const DeviceMemory& memory = memory_of(device);
  Pool& p = pool(device);
  std::unique_lock lock(p.mutex);
  void* block = nullptr;
  const auto found = p.free_blocks.find(size);
  const bool reused = found != p.free_blocks.end();
  if (reused) {
    block = found->second.back();
    found->second.pop_back();
    if (found->second.empty()) p.free_blocks.erase(found);
    p.statistics.cached -= int64_t(size);
  } else {
    block = memory.allocate(size, contents);
    if (!block) {
      drop_cache(memory, p);
      block = memory.allocate(size, contents);
    }
    check(block != nullptr, "out of memory: cannot allocate ", human_bytes(double(size)), " beside the ",
          human_bytes(double(p.statistics.in_use)), " in use");
    ++p.statistics.allocations;
  }
  p.statistics.in_use += int64_t(size);
  if (p.statistics.in_use > p.statistics.peak) p.statistics.peak = p.statistics.in_use;
  lock.unlock();
  if (reused && contents == Contents::zeros) memory.fill(block, 0, size);
  if (contents == Contents::any) poison(device, block, size);
  return block;
}

void release(Device device, void* block, size_t bytes) {
  const size_t size = block_size(bytes);
  Pool& p = pool(device);
  const std::lock_guard lock(p.mutex);
  p.statistics.in_use -= int64_t(size);
  if (!kReuse) return memory_of(device).release(block, size);
  p.free_blocks[size].push_back(block);
  p.statistics.cached += int64_t(size);
}

void set_poisoning(bool on) { poisoning.store(on); }
void poison(Device device, void* block, size_t bytes) {
  if (poisoning.load(std::memory_order_relaxed)) memory_of(device).fill(block, 0xff, bytes);
}

MemoryStatistics memory_statistics(Device device) {
  Pool& p = pool(device);
  const std::lock_guard lock(p.mutex);
  return p.statistics;
}
void reset_peak_memory(Device device) {
  Pool& p = pool(device);
  const std::lock_guard lock(p.mutex);
  p.statistics.peak = p.statistics.in_use;
}
void trim_memory(Device device) {
  Pool& p = pool(device);
  const std::lock_guard lock(p.mutex);
  drop_cache(memory_of(device), p);
}

}  // namespace engine
