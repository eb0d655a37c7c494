// Read first: collectives.h.
#include "engine/cuda/host/collectives.h"

namespace engine::standin {

void release_barrier_if_complete() {
  Block& block = this_block();
  if (!block.alive || block.at_barrier != block.alive) return;
  ++block.epoch;
  block.at_barrier = 0;
  for (Lane& lane : block.lanes)
    if (lane.state == Lane::State::waiting && lane.kind == Collective::syncthreads)
      lane.state = Lane::State::ready;
}

void block_barrier(Where where) {
  Block& block = this_block();
  Lane& lane = this_lane();
  lane.kind = Collective::syncthreads;
  lane.where = where;
  if (block.at_barrier && block.barrier->where.line != where.line)
    kernel_error(where, "__syncthreads meets that of thread %u at %s:%d", block.barrier->thread,
                 block.barrier->where.file, block.barrier->where.line);
  if (!block.at_barrier) block.barrier = &lane;
  if (++block.at_barrier < block.alive) return wait_until_ready();
  release_barrier_if_complete();
}

void warp_collective(Collective kind, uint32_t mask, void* operands, Complete complete, Where where) {
  Block& block = this_block();
  Lane& lane = this_lane();
  Lane* lanes = &block.lanes[lane.warp * 32];
  Warp& warp = block.warps[lane.warp];
  if (!(mask >> lane.lane & 1))
    kernel_error(where, "%s of mask %#x: the caller is not in it", name_of(kind), mask);

  Warp::Gathering* ours = nullptr;
  for (Warp::Gathering& g : warp.gatherings) {
    if (!(g.mask & mask)) continue;
    if (g.mask == mask && g.kind == kind) {
      ours = &g;
      continue;
    }
    const Lane& other = lanes[__builtin_ctz(g.arrived)];
    kernel_error(where, "divergent warp: this lane is at %s of mask %#x, lane %u at %s of mask %#x at %s:%d",
                 name_of(kind), mask, other.lane, name_of(g.kind), g.mask, other.where.file,
                 other.where.line);
  }
  if (!ours) {
    warp.gatherings.push_back({mask, 0, kind});
    ours = &warp.gatherings.back();
  }
  lane.kind = kind, lane.mask = mask, lane.operands = operands, lane.where = where;
  ours->arrived |= 1u << lane.lane;
  if (ours->arrived != mask) return wait_until_ready();

  *ours = warp.gatherings.back();
  warp.gatherings.pop_back();
  if (complete) complete(lanes, mask);
  if (kind == Collective::syncwarp && mask == kAllLanes) ++warp.epoch;
  for (uint32_t i = 0; i < 32; ++i)
    if ((mask >> i & 1) && i != lane.lane) lanes[i].state = Lane::State::ready;
}

uint32_t ballot(uint32_t mask, bool predicate, Where where) {
  struct Operands {
    bool in;
    uint32_t out;
  } operands{predicate, 0};
  warp_collective(
      Collective::vote, mask, &operands,
      [](Lane* warp, uint32_t all) {
        uint32_t bits = 0;
        for (uint32_t i = 0; i < 32; ++i)
          if (all >> i & 1) bits |= uint32_t(static_cast<Operands*>(warp[i].operands)->in) << i;
        for (uint32_t i = 0; i < 32; ++i)
          if (all >> i & 1) static_cast<Operands*>(warp[i].operands)->out = bits;
      },
      where);
  return operands.out;
}

}  // namespace engine::standin
