// The threads that share a row: a warp, or a whole block where rows are long. Included by kernel files.
#pragma once

#include "engine/cuda/vectors.h"

namespace engine::ENGINE_GPU {

constexpr int kTeamBlock = 256;  // threads of a block, whatever the team

/// Shared memory of a team's sums: one element for each warp.
struct TeamShared {
  SharedArray<double, kTeamBlock / 32> parts;
};

/// kThreads is 32 or kTeamBlock. A block has kTeamBlock / kThreads teams, each with a row.
template <int kThreads>
struct Team {
  static_assert(kThreads == 32 || kThreads == kTeamBlock);
  static constexpr int kPerBlock = kTeamBlock / kThreads;

  int64_t row;  // of this team
  int rank;     // of this thread in its team
  GPU_INLINE Team()
      : row(int64_t(blockIdx.x) * kPerBlock + threadIdx.x / kThreads), rank(threadIdx.x % kThreads) {}

  /// The sum over the team, in every thread, always in the same order.
  template <class C>
  GPU_INLINE C sum(C x, Where where = Where::here()) const {
    x = warp_sum(x, where);
    if constexpr (kThreads > 32)
      x = across_warps(
          x, [](C a, C b) { return a + b; }, where);
    return x;
  }
  /// The largest over the team; NaN wins.
  template <class C>
  GPU_INLINE C max(C x, Where where = Where::here()) const {
    x = warp_max(x, where);
    if constexpr (kThreads > 32)
      x = across_warps(
          x, [](C a, C b) { return b > a || b != b ? b : a; }, where);
    return x;
  }

 private:
  template <class C, class F>
  GPU_INLINE C across_warps(C x, F&& combine, Where where) const {
    auto& parts = block_shared<TeamShared>().parts;
    block_sync(where);  // the last sum has been read
    if (threadIdx.x % 32 == 0) parts[GPU_AT(threadIdx.x / 32, where)] = double(x);
    block_sync(where);
    C all = C(double(parts[GPU_AT(0, where)]));
    for (int i = 1; i < kTeamBlock / 32; ++i) {
      const double part = parts[GPU_AT(i, where)];
      all = combine(all, C(part));
    }
    return all;
  }
};

/// f(integral_constant): a warp a row up to `n` = 1,024 elements, a block above.
template <class F>
void visit_team(int64_t n, F&& f) {
  if (n <= 1024)
    f(std::integral_constant<int, 32>());
  else
    f(std::integral_constant<int, kTeamBlock>());
}
inline dim3 team_blocks(int threads, int64_t rows) { return blocks_for(rows, kTeamBlock / threads); }

}  // namespace engine::ENGINE_GPU
