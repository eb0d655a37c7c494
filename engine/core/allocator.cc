// Read first: allocator.h.
#include "engine/core/allocator.h"

#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/text.h"

// A block that cannot be had is an error message here (out of memory); the sanitizers end the process unless
// they are told to answer as malloc does.
#if defined(__SANITIZE_ADDRESS__)
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
#elif defined(__SANITIZE_THREAD__)
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }
#endif

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

Pool& pool() {
  static Pool* const p = new Pool;  // never destroyed: tensors in static storage may outlive it
  return *p;
}

// Sizes in steps of an eighth of their power of two (at least 64 bytes): at most 12.5 % is lost, and few
// sizes exist.
size_t rounded(size_t bytes) {
  if (bytes <= 512) return (bytes + 63) / 64 * 64 + (bytes == 0 ? 64 : 0);
  const size_t step = std::bit_floor(bytes - 1) / 8;
  return (bytes + step - 1) / step * step;
}

// Large blocks are mapped: their pages come zeroed, one by one as they are first touched, by the thread that
// touches them. So a fresh arena of zeros costs nothing until it is used, and then it is all threads that
// pay. Huge pages, where the system hands them out on request: a page fault costs a microsecond or more, and
// an arena of moments alone has a quarter of a million small pages, each of which faults twice (read, then
// written).
constexpr size_t kMapped = size_t(1) << 20, kHuge = size_t(4) << 20;
bool is_mapped(size_t size) { return kReuse && size >= kMapped; }

void* from_system(size_t size) {
  if (!is_mapped(size)) return std::aligned_alloc(kAlignment, size);
  void* block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return nullptr;
  if (size >= kHuge) madvise(block, size, MADV_HUGEPAGE);  // a wish: no matter if it fails
  return block;
}
void to_system(void* block, size_t size) {
  if (is_mapped(size))
    munmap(block, size);
  else
    std::free(block);
}

std::atomic<bool> poisoning_on{false};

void drop_cache(Pool& p) {
  for (auto& [size, blocks] : p.free_blocks) {
    for (void* block : blocks) to_system(block, size);
    p.statistics.cached -= int64_t(size * blocks.size());
  }
  p.free_blocks.clear();
}

}  // namespace

void* allocate(size_t bytes, Contents contents) {
  check(bytes < (size_t(1) << 62), "allocate: ", bytes, " bytes is more than any machine has");
  const size_t size = rounded(bytes);
  Pool& p = pool();
  std::unique_lock lock(p.mutex);
  void* block = nullptr;
  bool clear = contents == Contents::zeros;
  const auto found = p.free_blocks.find(size);
  if (found != p.free_blocks.end()) {
    block = found->second.back();
    found->second.pop_back();
    if (found->second.empty()) p.free_blocks.erase(found);
    p.statistics.cached -= int64_t(size);
  } else {
    block = from_system(size);
    if (!block) {
      drop_cache(p);
      block = from_system(size);
    }
    check(block != nullptr, "out of memory: cannot allocate ", human_bytes(double(size)), " beside the ",
          human_bytes(double(p.statistics.in_use)), " in use");
    ++p.statistics.allocations;
    clear = clear && !is_mapped(size);
  }
  p.statistics.in_use += int64_t(size);
  if (p.statistics.in_use > p.statistics.peak) p.statistics.peak = p.statistics.in_use;
  lock.unlock();
  if (clear) std::memset(block, 0, size);
  if (contents == Contents::any) poison(block, size);
  return block;
}

void set_poisoning(bool on) { poisoning_on.store(on); }
bool poisoning() { return poisoning_on.load(std::memory_order_relaxed); }
void poison(void* block, size_t bytes) {
  if (poisoning()) std::memset(block, 0xff, bytes);
}

void release(void* block, size_t bytes) {
  const size_t size = rounded(bytes);
  Pool& p = pool();
  const std::lock_guard lock(p.mutex);
  p.statistics.in_use -= int64_t(size);
  if (!kReuse) return to_system(block, size);
  p.free_blocks[size].push_back(block);
  p.statistics.cached += int64_t(size);
}

MemoryStatistics memory_statistics() {
  const std::lock_guard lock(pool().mutex);
  return pool().statistics;
}
void reset_peak_memory() {
  const std::lock_guard lock(pool().mutex);
  pool().statistics.peak = pool().statistics.in_use;
}
void trim_memory() {
  const std::lock_guard lock(pool().mutex);
  drop_cache(pool());
}

}  // namespace engine
