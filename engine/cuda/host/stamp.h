// Who touched a piece of memory, and when: what race checks compare.
//
// Memory is watched in cells of two bytes, the size of the smallest element that kernels write. A cell
// remembers its last writer and two readers, each as a stamp: launch, block, how many barriers the block and
// the warp had passed, thread. Two accesses to one cell, at least one of them a write, are a race unless
// something orders them:
//
//   same thread                 its program
//   same warp                   __syncwarp() between them: the warp's epoch differs
//   same block                  __syncthreads() between them: the block's epoch differs
//   two blocks of a launch      nothing ever does
//   two launches                the order of their stream, an event, or a wait of the host (stream.h)
//
// A shuffle, a vote or an mma does not order memory: on a GPU it may be compiled to nothing that waits for
// stores.
#pragma once

#include <cstdint>

namespace engine::standin {

/// 10 bits launch, 20 block, 12 epoch of the block, 12 epoch of the warp, 10 thread. Numbers beyond their
/// bits wrap: a block of more than 4,095 barriers may have a race missed or imagined between accesses that
/// many barriers apart.
using Stamp = uint64_t;
constexpr Stamp kNever = 0;               // nobody since the memory was handed out
constexpr Stamp kLongAgo = 1;             // somebody, in a launch whose number has been used again
constexpr uint32_t kLaunches = 1u << 10;  // launch numbers run from 1 to kLaunches - 1 and begin again

constexpr Stamp stamp_of(uint32_t launch, uint32_t block, uint32_t epoch, uint32_t warp_epoch,
                         uint32_t thread) {
  return uint64_t(launch & 0x3ff) << 54 | uint64_t(block & 0xfffff) << 34 | uint64_t(epoch & 0xfff) << 22 |
         uint64_t(warp_epoch & 0xfff) << 10 | (thread & 0x3ff);
}
constexpr uint32_t launch_of(Stamp s) { return uint32_t(s >> 54); }
constexpr uint32_t block_of(Stamp s) { return uint32_t(s >> 34) & 0xfffff; }
constexpr uint32_t epoch_of(Stamp s) { return uint32_t(s >> 22) & 0xfff; }
constexpr uint32_t warp_epoch_of(Stamp s) { return uint32_t(s >> 10) & 0xfff; }
constexpr uint32_t thread_of(Stamp s) { return uint32_t(s) & 0x3ff; }

/// Two accesses of one launch that nothing orders. (Of two launches: order.h's ordered_before().)
constexpr bool unordered_within_launch(Stamp earlier, Stamp now) {
  if (block_of(earlier) != block_of(now)) return true;
  if (thread_of(earlier) == thread_of(now) || epoch_of(earlier) != epoch_of(now)) return false;
  return !(thread_of(earlier) / 32 == thread_of(now) / 32 && warp_epoch_of(earlier) != warp_epoch_of(now));
}

/// What is remembered of two bytes. The lines are those of the accesses, for messages.
struct Cell {
  Stamp writer = kNever, reader = kNever, second_reader = kNever;
  uint16_t writer_line = 0, reader_line = 0, second_line = 0;
  uint16_t copies = 0;  // shared memory: asynchronous copies that are on their way here
};

}  // namespace engine::standin
