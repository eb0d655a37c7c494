// Which thread multiplies which part of a block of the product. Read before: gemm_cpu.cc.
//
// A job is some columns of the block, and its tiles lie below each other. A thread packs a job's columns for
// itself, so it should stay with the job; but the cores of a shared machine differ in speed from one moment
// to the next, so it takes only a few tiles at a time, and the others may help when nothing else is left.
#pragma once

#include <atomic>

#include "engine/cpu/chunk.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

constexpr int kSlotTiles = 4, kSlotShared = 5, kSlotJob = 6, kSlotTile = 7;  // scratch of products

int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }
int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/// Piece i of n items in `count` nearly equal pieces, in units.
struct Range {
  int64_t begin, end;
};
Range share(int64_t i, int64_t count, int64_t n) { return {i * n / count, (i + 1) * n / count}; }

class GemmJobs {
 public:
  static constexpr int64_t kMost = 64;  // jobs
  static constexpr int64_t kTurn = 2;   // tiles taken at a time

  /// `jobs` <= kMost jobs of `tiles` tiles each, `turn` of which are taken at a time.
  GemmJobs(int64_t jobs, int64_t tiles, int64_t turn = kTurn) : jobs_(jobs), tiles_(tiles), turn_(turn) {}

  /// More threads than this find nothing to do.
  int64_t most_threads() const { return jobs_ * pieces(tiles_, turn_); }

  /// The calling thread's next tiles, [first, first + turn): of `job`, the one it is at (-1: none); else of
  /// one that nobody has begun; else of the one that has most left. False when all tiles are taken.
  bool take(int64_t& job, int64_t& first) {
    if (job >= 0 && take_of(job, first)) return true;
    job = begun_.fetch_add(1);
    if (job < jobs_ && take_of(job, first)) return true;
    for (;;) {
      job = least_taken();
      if (taken_[job].load() >= tiles_) return false;
      if (take_of(job, first)) return true;
    }
  }

 private:
  bool take_of(int64_t job, int64_t& first) {
    first = taken_[job].fetch_add(turn_);
    return first < tiles_;
  }
  int64_t least_taken() const {
    int64_t least = 0;
    for (int64_t job = 1; job < jobs_; ++job)
      if (taken_[job].load() < taken_[least].load()) least = job;
    return least;
  }

  const int64_t jobs_, tiles_, turn_;
  std::atomic<int64_t> begun_{0}, taken_[kMost] = {};
};

}  // namespace
}  // namespace engine::cpu::ENGINE_ISA
