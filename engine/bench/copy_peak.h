// What memory gives: a copy as fast as this machine can do it, the ceiling of ops that wait for memory.
//
// An ordinary store reads its cache line before it writes it, so a copy moves 3/2 of the bytes that it
// counts; a streaming (non-temporal) store does not, but passes the caches by. Which of the two is faster
// depends on the size and on the machine: callers time both and take the better one.
#pragma once

#include <cstdint>

#include "engine/kernel/kernel.h"

namespace engine {

/// Kernel arguments: n floats, both arrays aligned to 64 bytes, on all threads in tasks of the usual size.
struct CopyPeak {
  const float* from;
  float* to;
  int64_t n;
  bool streaming;  // no effect on processors for which we have no such store
};

ENGINE_CPU_KERNEL(copy_peak, CopyPeak)

}  // namespace engine
