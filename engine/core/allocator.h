// Memory for tensors, kept for reuse, a pool for each device. Fresh pages from the operating system cost many
// times what reused ones do (every first touch is a page fault), and a training step asks for the same sizes
// again and again; so freed blocks go to a list by size and are handed out again, and nothing is returned to
// the system until it is asked for, memory runs out or this process's share of a GPU (NORMLAB_DEVICE_SHARE,
// bytes) does. (The host's does not run out by an answer: it ends at twice what was ever in use at a time.)
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

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

/// Memory of recorded steps (graph.h), kept from everybody else: a replay writes to the addresses of its
/// recording. Steps that are replayed one after another may share it, since none keeps a block: what one
/// leaves there the next overwrites.
class ReservedMemory {
 public:
  explicit ReservedMemory(Device device) : device_(device) {}
  /// Gives every block back for reuse; one that somebody still holds is the holder's from then on.
  ~ReservedMemory();
  ReservedMemory(const ReservedMemory&) = delete;
  ReservedMemory& operator=(const ReservedMemory&) = delete;

 private:
  friend class RecordedBlocks;
  friend void* allocate(Device, size_t, Contents);
  friend void release(Device, void*, size_t);

  Device device_;
  std::map<void*, size_t> sizes_;                  // of all its blocks
  std::map<size_t, std::set<void*>> free_blocks_;  // by size
  std::set<void*> held_;                           // by tensors, now
};

/// The blocks that one step was handed while it was recorded. Every further recording of it is handed the
/// same ones in the same order.
class RecordedBlocks {
 public:
  explicit RecordedBlocks(std::shared_ptr<ReservedMemory> memory) : memory_(std::move(memory)) {}
  RecordedBlocks(const RecordedBlocks&) = delete;
  RecordedBlocks& operator=(const RecordedBlocks&) = delete;

  /// While it lives, this thread's allocate() on the device takes blocks from here. Not nested.
  class Scope {
   public:
    explicit Scope(RecordedBlocks& blocks);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };
  /// Blocks of these that are handed out now.
  int64_t taken() const;

 private:
  friend void* allocate(Device, size_t, Contents);
  struct Block {
    size_t size;
    void* block;
  };
  void* take(size_t size);
  void* take_new(size_t size);

  std::shared_ptr<ReservedMemory> memory_;
  std::vector<Block> sequence_;  // what was handed out, in order
  size_t place_ = 0;             // in `sequence_`
  bool recorded_ = false;
};

MemoryStatistics memory_statistics(Device device);
void reset_peak_memory(Device device);
/// Returns every cached block to the system.
void trim_memory(Device device);

}  // namespace engine
