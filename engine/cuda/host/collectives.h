// What threads do together: barriers of a block, and the collectives of a warp, which exchange registers.
//
// A lane that comes to a collective says of what kind, for which lanes (its mask) and where its operands are.
// The last lane of the mask carries it out for all of them. All must come to the same kind with the same
// mask; that two of them wait in different places for each other is the mistake that hangs a GPU, and is
// named here.
#pragma once

#include <cstring>
#include <type_traits>

#include "engine/cuda/host/block.h"

namespace engine::standin {

constexpr uint32_t kAllLanes = 0xffffffffu;

/// __syncthreads: every thread of the block that has not returned, at the same line.
void block_barrier(Where where);
/// Lets a waiting block go on when everybody who is left waits at its barrier.
void release_barrier_if_complete();

/// Called by the last lane; `warp` points at the warp's 32 lanes, whose `operands` are set for those of the
/// mask.
using Complete = void (*)(Lane* warp, uint32_t mask);
/// The running lane takes part in a collective of `mask`; returns when it is done.
void warp_collective(Collective kind, uint32_t mask, void* operands, Complete complete, Where where);

/// Every lane of the mask gives `value` and receives that of lane `from`.
template <class T>
T shuffle(uint32_t mask, T value, uint32_t from, Where where) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (!(mask >> from & 1))
    kernel_error(where, "a shuffle reads lane %u, which is not in its mask %#x", from, mask);
  struct Operands {
    T in, out;
    uint32_t from;
  } operands{value, value, from};
  warp_collective(
      Collective::shuffle, mask, &operands,
      [](Lane* warp, uint32_t all) {
        for (uint32_t i = 0; i < 32; ++i) {
          if (!(all >> i & 1)) continue;
          Operands& mine = *static_cast<Operands*>(warp[i].operands);
          mine.out = static_cast<Operands*>(warp[mine.from].operands)->in;
        }
      },
      where);
  return operands.out;
}

/// A bit per lane of the mask: whose predicate holds.
uint32_t ballot(uint32_t mask, bool predicate, Where where);

}  // namespace engine::standin
