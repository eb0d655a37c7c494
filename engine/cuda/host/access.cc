// Read first: access.h, stamp.h.
#include "engine/cuda/host/access.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <string>

#include "engine/cuda/host/block.h"
#include "engine/cuda/host/count.h"
#include "engine/cuda/host/order.h"
#include "engine/cuda/host/settings.h"

namespace engine::standin {
namespace {

const char* verb(Access access) { return access == Access::write ? "written" : "read"; }
const char* noun(Access access) { return access == Access::write ? "write" : "read"; }

// Cells of global memory are met by several worker threads at once. Which of two racing accesses is seen
// first does not matter, as long as each is seen whole.
Stamp load(const Stamp& s) { return std::atomic_ref(const_cast<Stamp&>(s)).load(std::memory_order_relaxed); }
void store(Stamp& s, Stamp value) { std::atomic_ref(s).store(value, std::memory_order_relaxed); }

struct Conflict {
  Stamp other = kNever;  // kNever: no conflict
  uint16_t line = 0;
  bool other_wrote = false;
};

// Notes an access in a cell, or says whom it races with.
template <class Unordered>
Conflict touch(Cell& cell, Stamp now, Access access, uint16_t line, Unordered&& unordered) {
  const Stamp writer = load(cell.writer), reader = load(cell.reader), second = load(cell.second_reader);
  if (writer != now && unordered(writer)) return {writer, cell.writer_line, true};
  if (access == Access::write) {
    if (reader != now && unordered(reader)) return {reader, cell.reader_line, false};
    if (second != now && unordered(second)) return {second, cell.second_line, false};
    store(cell.writer, now);
    cell.writer_line = line;
  } else if (!unordered(reader)) {
    store(cell.reader, now);
    cell.reader_line = line;
  } else {
    store(cell.second_reader, now);
    cell.second_line = line;
  }
  return {};
}

Stamp stamp_of_running_lane() {
  const Block& block = this_block();
  const Lane& lane = this_lane();
  return stamp_of(block.launch, block.number, block.epoch, block.warps[lane.warp].epoch, lane.thread);
}

bool unordered_globally(Stamp earlier, Stamp now) {
  if (earlier == kNever || earlier == kLongAgo) return false;
  return launch_of(earlier) == launch_of(now) ? unordered_within_launch(earlier, now)
                                              : !ordered_before(launch_of(earlier));
}

// "block 2, thread 5 wrote it at line 30 of the same launch, with no barrier between"
std::string describe(const Conflict& c, Stamp now) {
  const std::string did = c.other_wrote ? " wrote it" : " read it";
  if (launch_of(c.other) != launch_of(now)) {
    const Where at = launch_site(launch_of(c.other));
    return std::string("the launch at ") + at.file + ":" + std::to_string(at.line) + did +
           ", and no stream, event or wait orders the two";
  }
  std::string text = "block " + std::to_string(block_of(c.other)) + ", thread " +
                     std::to_string(thread_of(c.other)) + did + " at line " + std::to_string(c.line) +
                     " in the same launch";
  return text + (block_of(c.other) != block_of(now) ? ", and nothing orders two blocks"
                                                    : ", with no barrier between");
}

void check_global(const Allocation* block, const char* p, unsigned size, Access access, Where where) {
  if (!block)
    kernel_error(where, "global memory: a %s of %u bytes through a pointer that is null or not the device's",
                 noun(access), size);
  const ptrdiff_t offset = p - block->begin;
  if (offset < 0 || size_t(offset) + size > block->bytes)
    kernel_error(where, "global memory: a %s of %u bytes at byte %td of a block of %zu bytes", noun(access),
                 size, offset, block->bytes);
  if (reinterpret_cast<uintptr_t>(p) % size)
    kernel_error(where, "global memory: a %s of %u bytes at byte %td is not aligned to %u", noun(access),
                 size, offset, size);
  if (!block->cells) return;
  if (size == 1) {  // neighbours share a cell: bytes are checked for being written, not for races
    Cell& cell = block->cells[size_t(offset) / 2];
    if (access == Access::write) return store(cell.writer, kLongAgo);
    if (load(cell.writer) == kNever)
      kernel_error(where, "global memory: byte %td of a block of %zu is read but nobody wrote it", offset,
                   block->bytes);
    return;
  }
  const Stamp now = stamp_of_running_lane();
  for (size_t i = size_t(offset) / 2; i < (size_t(offset) + size + 1) / 2; ++i) {
    Cell& cell = block->cells[i];
    if (access == Access::read && load(cell.writer) == kNever)
      kernel_error(where, "global memory: byte %zu of a block of %zu is read but nobody wrote it", i * 2,
                   block->bytes);
    const Conflict c =
        touch(cell, now, access, uint16_t(where.line), [&](Stamp s) { return unordered_globally(s, now); });
    if (c.other != kNever) {
      char text[400];
      std::snprintf(text, sizeof text, "%s", describe(c, now).c_str());
      kernel_error(where, "race in global memory: byte %zu of a block of %zu %s, %s", i * 2, block->bytes,
                   verb(access), text);
    }
  }
}

void check_shared(const char* p, unsigned size, Access access, Where where) {
  Block& block = this_block();
  const ptrdiff_t offset = p - block.shared;
  if (offset < 0 || size_t(offset) + size > block.shared_bytes)
    kernel_error(where, "shared memory: a %s of %u bytes at byte %td of %zu", noun(access), size, offset,
                 block.shared_bytes);
  if (offset % size)
    kernel_error(where, "shared memory: a %s of %u bytes at byte %td is not aligned to %u", noun(access),
                 size, offset, size);
  const Stamp now = stamp_of_running_lane();
  // Stamps of earlier blocks stay in the cells; they count as nobody's.
  const auto here = [&](Stamp s) { return s >> 34 == now >> 34; };
  for (size_t i = size_t(offset) / 2; i < (size_t(offset) + size + 1) / 2; ++i) {
    Cell& cell = block.cells[i];
    if (cell.copies)
      kernel_error(where, "shared memory: byte %zu is %s while an asynchronous copy fills it", i * 2,
                   verb(access));
    if (access == Access::read && !here(cell.writer))
      kernel_error(where, "shared memory: byte %zu is read but nobody wrote it", i * 2);
    const Conflict c = touch(cell, now, access, uint16_t(where.line),
                             [&](Stamp s) { return here(s) && unordered_within_launch(s, now); });
    if (c.other != kNever)
      kernel_error(
          where, "race in shared memory: byte %zu %s, thread %u %s it at line %u with no barrier between",
          i * 2, verb(access), thread_of(c.other), c.other_wrote ? "wrote" : "read", unsigned(c.line));
  }
}

}  // namespace

void global_access(const Allocation* block, const void* p, unsigned size, Access access, Where where) {
  if (settings().check) check_global(block, static_cast<const char*>(p), size, access, where);
  if (!settings().count) return;
  const bool write = access == Access::write;
  count_access(write ? Space::global_write : Space::global_read, reinterpret_cast<uintptr_t>(p), size,
               __builtin_return_address(0));
  count_sectors(*block, uint64_t(static_cast<const char*>(p) - block->begin), size, write);
}

void shared_access(const void* p, unsigned size, Access access, Where where) {
  if (settings().check) check_shared(static_cast<const char*>(p), size, access, where);
  if (settings().count)
    count_access(Space::shared, uint64_t(static_cast<const char*>(p) - this_block().shared), size,
                 __builtin_return_address(0));
}

void copy_access(const void* device_pointer, size_t bytes, Access access, Where where) {
  const Allocation* block = allocation_of(device_pointer);
  const auto wrong = [&](const std::string& what) {
    throw KernelError(std::string(where.file) + ":" + std::to_string(where.line) + ": " + what);
  };
  if (!block) wrong("copy: the pointer is not the device's");
  const ptrdiff_t offset = kernel_view(static_cast<const char*>(device_pointer)) - block->begin;
  if (offset < 0 || size_t(offset) + bytes > block->bytes)
    wrong("copy: " + std::to_string(bytes) + " bytes from byte " + std::to_string(offset) +
          " on of a block of " + std::to_string(block->bytes));
  if (!settings().check || !block->cells) return;
  const Stamp now = stamp_of(launch_in_progress(), 0, 1, 1, 0);
  for (size_t i = size_t(offset) / 2; i < (size_t(offset) + bytes + 1) / 2; ++i) {
    const Conflict c = touch(block->cells[i], now, access, uint16_t(where.line),
                             [&](Stamp s) { return unordered_globally(s, now); });
    if (c.other != kNever)
      wrong("race in global memory: byte " + std::to_string(i * 2) + " of a block of " +
            std::to_string(block->bytes) + " " + verb(access) + " by a copy, " + describe(c, now));
  }
}

}  // namespace engine::standin
