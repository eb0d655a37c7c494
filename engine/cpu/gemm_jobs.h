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

class GemmJobs {
 public:
  static constexpr int64_t kMost = 64;  // jobs
  static constexpr int64_t kTurn = 2;   // tiles taken at a time

  /// `jobs` <= kMost jobs of `tiles` tiles each.
  GemmJobs(int64_t jobs, int64_t tiles) : jobs_(jobs), tiles_(tiles) {}

  /// More threads than this find nothing to do.
  int64_t most_threads() const { return jobs_ * ((tiles_ + kTurn - 1) / kTurn); }

  /// The calling thread's next tiles, [first, first + kTurn): of `job`, the one it is at (-1: none); else of
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
    first = taken_[job].fetch_add(kTurn);
    return first < tiles_;
  }
  int64_t least_taken() const {
    int64_t least = 0;
    for (int64_t job = 1; job < jobs_; ++job)
      if (taken_[job].load() < taken_[least].load()) least = job;
    return least;
  }

  const int64_t jobs_, tiles_;
  std::atomic<int64_t> begun_{0}, taken_[kMost] = {};
};

}  // namespace
}  // namespace engine::cpu::ENGINE_ISA
