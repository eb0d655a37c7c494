// Read first: block.h.
#include "engine/cuda/host/block.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "engine/cuda/host/async_copy.h"
#include "engine/cuda/host/collectives.h"
#include "engine/cuda/host/settings.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace engine::standin {
namespace {

thread_local Block* running_block = nullptr;

// What a fiber does: threads of the warp whose turn it is, from the first that has not begun, until one of
// them waits (this fiber is then that thread's own) or none is left.
void run_lanes(Fiber& fiber) {
  for (;;) {
    Block& block = this_block();
    Lane* lane = block.running;
    while (lane) {
      lane->fiber = &fiber;
      lane->state = Lane::State::ready;
      block.running = lane;
      block.call(block.argument);
      check_copies_waited_for();
      lane->state = Lane::State::done;
      --block.alive;
      release_barrier_if_complete();
      Warp& warp = block.warps[lane->warp];
      lane = warp.started < 32 ? &block.lanes[lane->warp * 32 + warp.order[warp.started++]] : nullptr;
    }
    block.idle.push_back(&fiber);
    block.running = nullptr;
    fiber.leave();
  }
}

void stop_if_wrong(Block& block) {
  if (!block.error[0]) return;
  for (auto& fiber : block.fibers) fiber->restart();
  block.idle.clear();
  for (auto& fiber : block.fibers) block.idle.push_back(fiber.get());
  throw KernelError(block.error);
}

void enter(Block& block, Lane& lane) {
  if (lane.state == Lane::State::fresh) {
    if (block.idle.empty()) {
      block.fibers.push_back(std::make_unique<Fiber>(&run_lanes));
      block.idle.push_back(block.fibers.back().get());
    }
    lane.fiber = block.idle.back();
    block.idle.pop_back();
  }
  block.running = &lane;
  lane.fiber->enter();
  stop_if_wrong(block);
}

// Goes on with lanes of the warp until all of them wait or are done. Whether any could go on.
bool run_warp(Block& block, uint32_t index) {
  Warp& warp = block.warps[index];
  bool any = false;
  for (bool again = true; again;) {
    again = false;
    while (warp.started < 32) {
      enter(block, block.lanes[index * 32 + warp.order[warp.started++]]);
      again = true;
    }
    for (const uint32_t i : warp.order) {
      Lane& lane = block.lanes[index * 32 + i];
      if (lane.state != Lane::State::ready) continue;
      enter(block, lane);
      again = true;
    }
    any = any || again;
  }
  return any;
}

// Nobody can go on and somebody waits: says who waits where, in the words of the first line that they wait
// at.
void report_hang(Block& block) {
  uint32_t returned = 0;
  const Lane* first = nullptr;
  std::string others;
  for (const Lane& lane : block.lanes) {
    if (lane.state == Lane::State::done) ++returned;
    if (lane.state != Lane::State::waiting) continue;
    if (!first) {
      first = &lane;
      continue;
    }
    const bool same = lane.where.line == first->where.line && lane.kind == first->kind;
    if (!same && others.size() < 300)
      others += "; thread " + std::to_string(lane.thread) + " at " + name_of(lane.kind) + " " +
                lane.where.file + ":" + std::to_string(lane.where.line);
  }
  block.running = const_cast<Lane*>(first);
  std::snprintf(
      block.error, sizeof block.error,
      "%s:%d: block %u hangs: thread %u waits at %s%s; %u of %zu threads have returned (launched at %s:%d)",
      first->where.file, first->where.line, block.number, first->thread, name_of(first->kind), others.c_str(),
      returned, block.lanes.size(), block.launched.file, block.launched.line);
}

void prepare_lanes(Block& block, uint32_t threads) {
  if (block.lanes.size() != threads) {
    block.lanes = std::vector<Lane>(threads);
    block.warps = std::vector<Warp>(threads / 32);
  }
  const Schedule schedule = settings().schedule;
  for (uint32_t i = 0; i < threads; ++i) {
    Lane& lane = block.lanes[i];
    lane.index = {i, 0, 0};
    lane.thread = i, lane.warp = i / 32, lane.lane = i % 32;
    lane.state = Lane::State::fresh;
    lane.copies.clear(), lane.copy_group = 0;
    lane.occurrences.clear();
  }
  for (Warp& warp : block.warps) {
    warp.gatherings.clear();
    warp.epoch = 1, warp.started = 0;
    warp.order.resize(32);
    for (uint32_t i = 0; i < 32; ++i) warp.order[i] = schedule == Schedule::reverse ? 31 - i : i;
    if (schedule == Schedule::random) std::shuffle(warp.order.begin(), warp.order.end(), block.random);
  }
  block.epoch = 1, block.alive = threads, block.at_barrier = 0;
  block.error[0] = 0;
}

}  // namespace

Block::Block() = default;
Block::~Block() { std::free(shared); }

Block& this_block() { return *running_block; }
Lane& this_lane() { return *running_block->running; }

const char* name_of(Collective kind) {
  switch (kind) {
    case Collective::syncthreads: return "__syncthreads";
    case Collective::syncwarp: return "__syncwarp";
    case Collective::shuffle: return "a shuffle";
    case Collective::vote: return "a vote";
    case Collective::ldmatrix: return "ldmatrix";
    case Collective::mma: return "mma.sync";
  }
  return "?";
}

void run_block(Block& block, uint32_t threads) {
  running_block = &block;
  prepare_lanes(block, threads);
  const uint32_t warps = threads / 32;
  std::vector<uint32_t> order(warps);
  for (uint32_t i = 0; i < warps; ++i)
    order[i] = settings().schedule == Schedule::reverse ? warps - 1 - i : i;
  for (bool progress = true; progress;) {
    progress = false;
    if (settings().schedule == Schedule::random) std::shuffle(order.begin(), order.end(), block.random);
    for (const uint32_t warp : order) progress = run_warp(block, warp) || progress;
  }
  if (block.alive) report_hang(block);
  stop_if_wrong(block);
}

void prepare_shared(Block& block, size_t bytes) {
  if (bytes > block.shared_capacity) {
    std::free(block.shared);
    block.shared_capacity = (bytes + 255) / 128 * 128;
    block.shared = static_cast<char*>(std::aligned_alloc(128, block.shared_capacity));
    block.cells.clear();
  }
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(block.shared, block.shared_capacity);
#endif
  block.shared_bytes = bytes;
  if (bytes) std::memset(block.shared, 0xff, bytes);
  if (settings().check) block.cells.assign((bytes + 1) / 2, Cell{});
#if defined(__SANITIZE_ADDRESS__)
  if (block.shared) __asan_poison_memory_region(block.shared + bytes, block.shared_capacity - bytes);
#endif
}

void kernel_error(const Where& where, const char* format, ...) {
  Block& block = this_block();
  Lane& lane = this_lane();
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  std::snprintf(block.error, sizeof block.error,
                "%s:%d: %s (block %u, thread %u: lane %u of warp %u; launched at %s:%d)", where.file,
                where.line, text, block.number, lane.thread, lane.lane, lane.warp, block.launched.file,
                block.launched.line);
  for (;;) lane.fiber->leave();
}

void wait_until_ready() {
  Block& block = this_block();
  Lane& lane = *block.running;
  lane.state = Lane::State::waiting;
  lane.fiber->leave();
}

}  // namespace engine::standin
