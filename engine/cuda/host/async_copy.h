// cp.async: copies from global to shared memory that go on while the thread does. The stand-in does them at
// the wait, the last moment that CUDA allows, and watches their target until then: whoever touches it too
// early is told so.
#pragma once

#include "engine/cuda/host/block.h"
#include "engine/cuda/host/device_memory.h"

namespace engine::standin {

struct AsyncCopy {
  char* to;
  const char* from;  // null: zeros
  int group;
};

/// Begins a copy of 16 bytes; with `valid` false zeros are written and nothing is read.
void begin_copy(char* to, const Allocation* block, const char* from, bool valid, Where where);
/// Closes the thread's group of copies.
void commit_copies();
/// Waits until at most `left` of its groups are on their way.
void wait_for_copies(int left, Where where);
/// KernelError when the running thread ends with copies on their way.
void check_copies_waited_for();

}  // namespace engine::standin
