// Read first: async_copy.h.
#include "engine/cuda/host/async_copy.h"

#include <cstring>

#include "engine/cuda/host/access.h"
#include "engine/cuda/host/settings.h"

namespace engine::standin {
namespace {

constexpr unsigned kBytes = 16;

void watch(char* to, int change) {
  if (!settings().check) return;
  Block& block = this_block();
  Cell* cell = &block.cells[size_t(to - block.shared) / 2];
  for (unsigned i = 0; i < kBytes / 2; ++i) cell[i].copies = uint16_t(cell[i].copies + change);
}

/// Counts tell instructions apart by the call (count.h): all lanes come through this one, those whose copy is
/// valid and the others.
[[gnu::noinline]] void fill_begins(char* to, Where where) {
  shared_access(to, kBytes, Access::write, where);
  asm volatile("");  // not a jump
}

}  // namespace

void begin_copy(char* to, const Allocation* block, const char* from, bool valid, Where where) {
  Lane& lane = this_lane();
  if (valid) global_access(block, from, kBytes, Access::read, where);
  fill_begins(to, where);
  watch(to, 1);
  lane.last_copy = where;
  lane.copies.push_back({to, valid ? from : nullptr, lane.copy_group});
}

void commit_copies() { ++this_lane().copy_group; }

void wait_for_copies(int left, Where where) {
  Lane& lane = this_lane();
  size_t kept = 0;
  for (size_t i = 0; i < lane.copies.size(); ++i) {
    const AsyncCopy copy = lane.copies[i];
    if (copy.group >= lane.copy_group - left) {
      lane.copies[kept++] = copy;
      continue;
    }
    watch(copy.to, -1);
    shared_access(copy.to, kBytes, Access::write, where);
    copy.from ? std::memcpy(copy.to, copy.from, kBytes) : std::memset(copy.to, 0, kBytes);
  }
  lane.copies.resize(kept);
}

void check_copies_waited_for() {
  const Lane& lane = this_lane();
  if (!lane.copies.empty())
    kernel_error(lane.last_copy,
                 "%zu asynchronous copies are not waited for when the thread ends; the last begins here",
                 lane.copies.size());
}

}  // namespace engine::standin
