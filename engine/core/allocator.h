// Memory for tensors, kept for reuse, a pool for each device. Fresh pages from the operating system cost many
// times what reused ones do (every first touch is a page fault), and a training step asks for the same sizes
// again and again; so freed blocks go to a list by size and are handed out again, and nothing is returned to
// the system until it is asked for or memory runs out.
#pragma once

#include "engine/core/memory.h"

namespace engine {

struct MemoryStatistics {
  int64_t in_use = 0;       // bytes handed out now
  int64_t peak = 0;         // the most that was ever handed out since reset_peak_memory()
  int64_t cached = 0;       // bytes held for reuse
  int64_t allocations = 0;  // blocks that came from the system
};

/// At least `bytes` bytes aligned to 64. An Error when the device has no more.
void* allocate(Device device, size_t bytes, Contents contents = Contents::any);
/// Gives a block back for reuse; `bytes` is what was asked for.
void release(Device device, void* block, size_t bytes);

/// For tests: from now on memory whose contents are nobody's business is handed out full of NaNs (of every
/// floating dtype), scratch memory of kernels too, so that what reads it before writing it is seen.
void set_poisoning(bool on);
/// Fills memory so when poisoning is on.
void poison(Device device, void* block, size_t bytes);

MemoryStatistics memory_statistics(Device device);
void reset_peak_memory(Device device);
/// Returns every cached block to the system.
void trim_memory(Device device);

}  // namespace engine
