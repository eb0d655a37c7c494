// Read first: allocator.h.
#include "engine/core/allocator.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "engine/core/block_size.h"
#include "engine/core/renew.h"

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
  std::map<void*, size_t> larger;                    // blocks in use that are larger than what was asked for
  std::map<void*, ReservedMemory*> reserved;         // blocks of recorded steps
  MemoryStatistics statistics;
  int64_t most_in_use = 0;  // at a time, since the program began
};

Pool& pool(Device device) {
  static Pool* const pools =
      new Pool[kDevices];  // never destroyed: tensors in static storage may outlive them
  return pools[int(device)];
}

std::atomic<bool> poisoning{false};
thread_local RecordedBlocks* reserving = nullptr;
Renew renewals[kDevices] = {};

void drop_cache(const DeviceMemory& memory, Pool& p) {
  for (auto& [size, blocks] : p.free_blocks) {
    for (void* block : blocks) memory.release(block, size);
    p.statistics.cached -= int64_t(size * blocks.size());
  }
  p.free_blocks.clear();
}

// A GPU says when its memory is out; the system does not, but ends the process. So the host's cache is given
// up before it would take, with what is in use and `size` more, over twice what was ever in use at a time.
void limit_cache(const DeviceMemory& memory, Pool& p, size_t size) {
  constexpr int64_t kLittle = int64_t(64) << 20;
  const int64_t needed = p.statistics.in_use + int64_t(size);
  const int64_t most = std::max({kLittle, 2 * p.most_in_use, 2 * needed});
  if (needed + p.statistics.cached > most) drop_cache(memory, p);
}

// What this process keeps to of a GPU that other processes have as well: before it would hold more, it gives
// up what it holds for reuse. (The GPU would answer the others that its memory is out, and not this one.) 0:
// no limit.
int64_t device_share() {
  const char* text = std::getenv("NORMLAB_DEVICE_SHARE");
  if (text == nullptr || *text == 0) return 0;
  const std::string_view all = text;
  int64_t bytes = 0;
  const auto [last, status] = std::from_chars(all.begin(), all.end(), bytes);
  check(status == std::errc() && last == all.end() && bytes >= 0, "NORMLAB_DEVICE_SHARE=", text,
        ": expected a number of bytes");
  return bytes;
}

void keep_to_share(const DeviceMemory& memory, Pool& p, size_t size) {
  const int64_t share = device_share();
  if (share > 0 && p.statistics.in_use + p.statistics.cached + int64_t(size) > share) drop_cache(memory, p);
}

[[noreturn]] void fail_out_of_memory(Device device, size_t size, const MemoryStatistics& statistics) {
  const DeviceMemory& memory = memory_of(device);
  const std::string beside = join_text("cannot allocate ", human_bytes(double(size)), " beside the ",
                                       human_bytes(double(statistics.in_use)), " in use");
  if (device == Device::cpu) fail("out of memory: ", beside);
  throw DeviceError(join_text(
      "device ", device, ": out of memory: ", beside,
      memory.available ? ", with " + human_bytes(double(memory.available())) + " free" : std::string(),
      ": take a smaller batch, activation_checkpointing or a 16-bit precision"));
}

// The smallest free block of `size` bytes to `most`, or null.
void* reuse(Pool& p, size_t size, size_t most) {
  const auto found = p.free_blocks.lower_bound(size);
  if (found == p.free_blocks.end() || found->first > most) return nullptr;
  const size_t whole = found->first;
  void* block = found->second.back();
  if (whole > size) p.larger[block] = whole;
  found->second.pop_back();
  if (found->second.empty()) p.free_blocks.erase(found);
  p.statistics.cached -= int64_t(whole);
  return block;
}

void* fresh(Device device, Pool& p, size_t size, Contents contents) {
  const DeviceMemory& memory = memory_of(device);
  if (device == Device::cpu)
    limit_cache(memory, p, size);
  else
    keep_to_share(memory, p, size);
  void* block = memory.allocate(size, contents);
  if (!block) {
    drop_cache(memory, p);
    block = memory.allocate(size, contents);
  }
  if (!block) fail_out_of_memory(device, size, p.statistics);
  ++p.statistics.allocations;
  return block;
}

}  // namespace

void* allocate(Device device, size_t bytes, Contents contents) {
  check(bytes < (size_t(1) << 62), "allocate: ", bytes, " bytes is more than any machine has");
  const size_t size = block_size(bytes);
  const DeviceMemory& memory = memory_of(device);
  Pool& p = pool(device);
  std::unique_lock lock(p.mutex);
  void* block = nullptr;
  if (reserving && reserving->memory_->device_ == device) {
    block = reserving->take(size);
    lock.unlock();
    if (contents == Contents::zeros) memory.fill(block, 0, size);
    return block;
  }
  // Batches of other lengths ask for other sizes: the host's blocks serve for half their size too.
  block = reuse(p, size, device == Device::cpu ? 2 * size : size);
  const bool reused = block != nullptr;
  if (!reused) block = fresh(device, p, size, contents);
  p.statistics.in_use += int64_t(size);
  p.statistics.peak = std::max(p.statistics.peak, p.statistics.in_use);
  p.most_in_use = std::max(p.most_in_use, p.statistics.in_use);
  lock.unlock();
  if (reused && contents == Contents::zeros) memory.fill(block, 0, size);
  if (reused && contents == Contents::any && renewals[int(device)]) renewals[int(device)](block, size);
  if (contents == Contents::any) poison(device, block, size);
  return block;
}

void release(Device device, void* block, size_t bytes) {
  const size_t size = block_size(bytes);
  Pool& p = pool(device);
  const std::lock_guard lock(p.mutex);
  if (const auto owner = p.reserved.find(block); owner != p.reserved.end()) {
    owner->second->free_blocks_[size].insert(block);
    owner->second->held_.erase(block);
    return;
  }
  p.statistics.in_use -= int64_t(size);
  if (!kReuse) return memory_of(device).release(block, size);
  size_t whole = size;
  if (const auto larger = p.larger.find(block); larger != p.larger.end()) {
    whole = larger->second;
    p.larger.erase(larger);
  }
  p.free_blocks[whole].push_back(block);
  p.statistics.cached += int64_t(whole);
}

// Under the pool's lock.
void* RecordedBlocks::take(size_t size) {
  if (!recorded_) sequence_.push_back({size, take_new(size)});
  const bool same = place_ < sequence_.size() && sequence_[place_].size == size;
  void* block = same ? sequence_[place_++].block : nullptr;
  check(same && memory_->held_.insert(block).second,
        "a step asks for other memory than when it was recorded");
  memory_->free_blocks_[size].erase(block);
  return block;
}

void* RecordedBlocks::take_new(size_t size) {
  if (const auto& free = memory_->free_blocks_[size]; !free.empty()) return *free.begin();
  Pool& p = pool(memory_->device_);
  void* block = fresh(memory_->device_, p, size, Contents::any);
  p.reserved[block] = memory_.get();
  memory_->sizes_[block] = size;
  p.statistics.in_use += int64_t(size);
  p.statistics.peak = std::max(p.statistics.peak, p.statistics.in_use);
  return block;
}

int64_t RecordedBlocks::taken() const {
  std::set<void*> kept;
  for (const Block& b : sequence_)
    if (memory_->held_.contains(b.block)) kept.insert(b.block);
  return int64_t(kept.size());
}

RecordedBlocks::Scope::Scope(RecordedBlocks& blocks) {
  check(!reserving, "a step is recorded inside another one");
  blocks.place_ = 0;
  reserving = &blocks;
}
RecordedBlocks::Scope::~Scope() {
  reserving->recorded_ = true;
  reserving = nullptr;
}

ReservedMemory::~ReservedMemory() {
  Pool& p = pool(device_);
  const std::lock_guard lock(p.mutex);
  for (const auto& [block, size] : sizes_) {
    p.reserved.erase(block);
    if (held_.contains(block)) continue;
    p.statistics.in_use -= int64_t(size);
    p.free_blocks[size].push_back(block);
    p.statistics.cached += int64_t(size);
  }
}

void set_renew(Device device, Renew renew) { renewals[int(device)] = renew; }

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
