// The product of 16-bit matrices on tiles. Read first: gemm_cpu.cc's first lines, tiles.h, tile_pack.h.
//
//   for blocks of columns (jobs)                          taken by threads, gemm_jobs.h
//     for groups of rows, for blocks of k
//       pack the block's B panels                         own; in L2 for all the rows that follow
//       for each A panel of the group                     packed as it comes; or by all threads before,
//                                                         where it is transposed or f16
//         for each slice of k                             a slice of the A panel stays in L1
//           for each B panel: multiply_tiles()
//     a strip of 32 rows is finished: to the caller
//
// Tiles multiply sixteen times as fast as vectors do, so what counts is how often a byte travels: the third
// cache level gives a core about 7 bytes a cycle, and a panel is used 32 times a byte from there and as often
// as the block is wide from the second one. Sizes may follow from the number of threads: bits do not depend
// on them (tiles.h). Included by gemm_cpu.cc only.
#pragma once

#if defined(__AVX512F__)

#include "engine/cpu/finished_gemm.h"
#include "engine/cpu/gemm_jobs.h"
#include "engine/cpu/tile_pack.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

/// T: of both operands, bf16 or f16.
template <class T, bool Emulated, class Deliver>
class TileProduct {
 public:
  /// deliver(GemmTile) is told of each finished strip.
  TileProduct(const FinishedGemm& gemm, bool all_threads, const Deliver& finished)
      : g(gemm), deliver(finished), parallel(all_threads) {}

  void run_matrix(int64_t index) {
    batch = index;
    a = static_cast<const T*>(g.a.data) + index * g.a_batch;
    b = static_cast<const T*>(g.b.data) + index * g.b_batch;
    const int64_t threads = parallel ? thread_count() : 1;
    const int64_t steps = pieces(g.k, kDepth), col_panels = pieces(g.n, kTilePanel);
    blocks_k = steps <= kWholeSteps ? 1 : pieces(steps, kBlockSteps);
    const int64_t fit = kBlockPanelSteps / (pieces(steps, blocks_k) + 1);
    width = smaller(smaller(fit < 4 ? 4 : fit, blocks_k > 1 ? kMostWidth : col_panels),
                    pieces(col_panels, threads));
    width = pieces(col_panels, pieces(col_panels, width));
    const int64_t most_cols = smaller(g.n, GemmJobs::kMost * width * kTilePanel);
    int64_t most_rows = g.m;
    if (share_a()) {
      most_rows = smaller(pieces(g.m, kTilePanel), kSharedSteps / (steps + 1) + 8) * kTilePanel;
      shared = scratch<uint32_t>(pieces(most_rows, kTilePanel) * steps * kTileStep, kSlotShared);
    }
    for (row0 = 0; row0 < g.m; row0 += most_rows) {
      rows = smaller(most_rows, g.m - row0);
      if (share_a())
        run_tasks(parallel, pieces(rows, kTilePanel), [&](int64_t i) {
          pack_a(i, {0, steps}, shared + i * steps * kTileStep);
        });
      for (col0 = 0; col0 < g.n; col0 += most_cols) {
        cols = smaller(most_cols, g.n - col0);
        multiply_block(steps);
      }
    }
  }

 private:
  static constexpr int64_t kDepth = kStepDepth<T>;
  static constexpr int64_t kWholeSteps = 48, kBlockSteps = 32;  // of k in one block, where several are needed
  static constexpr int64_t kBlockPanelSteps = 448;              // of a B block: 2 KiB each
  static constexpr int64_t kMostWidth = 12, kGroupPanels = 16;  // of sums that wait for the next block of k
  static constexpr int64_t kSliceSteps = 12;
  static constexpr int64_t kSharedSteps = 8192;  // 16 MiB of A packed at a time

  /// Rows that lie along k in bf16 are copied, which costs so little that each job does it again.
  bool share_a() const { return g.a.transposed || !std::is_same_v<T, bf16>; }

  void pack_a(int64_t panel, Range k, uint32_t* to) const {
    const int64_t row = row0 + panel * kTilePanel, first = k.begin * kDepth;
    const int64_t height = smaller(kTilePanel, g.m - row), depth = smaller(k.end * kDepth, g.k) - first;
    if (g.a.transposed)
      pack_tile_columns(a + first * g.a.stride + row, g.a.stride, height, depth, to);
    else
      pack_tile_rows(a + row * g.a.stride + first, g.a.stride, height, depth, to);
  }

  void pack_b(Range panels, Range k, uint32_t* to) const {
    const int64_t col = col0 + panels.begin * kTilePanel, first = k.begin * kDepth;
    const int64_t size = smaller((panels.end - panels.begin) * kTilePanel, g.n - col);
    const int64_t depth = smaller(k.end * kDepth, g.k) - first, panel = (k.end - k.begin) * kTileStep;
    if (!g.b.transposed)
      return pack_tile_b_across(b + first * g.b.stride + col, g.b.stride, size, depth, to, panel);
    for (int64_t i = 0; i < size; i += kTilePanel)
      pack_tile_b_along(b + (col + i) * g.b.stride + first, g.b.stride, smaller(kTilePanel, size - i), depth,
                        to + i / kTilePanel * panel);
  }

  /// Asks for rows r of panel i, steps k: they are packed after what is multiplied now.
  void ask_for_rows(int64_t i, Range k, Range r) const {
    const int64_t row = row0 + i * kTilePanel;
    const T* from = a + (row + r.begin) * g.a.stride + k.begin * kDepth;
    for (int64_t n = r.begin; n < smaller(r.end, g.m - row); ++n, from += g.a.stride)
      for (int64_t line = 0; line < k.end - k.begin; ++line) __builtin_prefetch(from + line * kDepth, 0, 2);
  }

  /// Row panels p times column panels q, packed in packed_b, or there when it is null.
  void group(Range p, Range q, int64_t steps, uint32_t*& packed_b) const {
    const int64_t stride =
        (q.end - q.begin) * kTilePanel + 16;  // an odd number of lines: tiles' rows share no set
    const int64_t strip = kTilePanel * stride;
    float* const sums = scratch<float>((blocks_k > 1 ? p.end - p.begin : 1) * strip, kSlotTile);
    const int64_t most = pieces(steps, blocks_k);
    const bool pack = packed_b == nullptr;
    if (pack) packed_b = scratch<uint32_t>((q.end - q.begin) * most * kTileStep, kSlotJob);
    uint32_t* const own_a = share_a() ? nullptr : scratch<uint32_t>(kSliceSteps * kTileStep, kSlotTiles);
    for (int64_t block = 0; block < blocks_k; ++block) {
      const Range k = share(block, blocks_k, steps);
      const int64_t depth = k.end - k.begin, slices = depth ? pieces(depth, kSliceSteps) : 1;
      if (pack || blocks_k > 1) pack_b(q, k, packed_b);
      for (int64_t i = p.begin; i < p.end; ++i) {
        float* const to = sums + (blocks_k > 1 ? i - p.begin : 0) * strip;
        for (int64_t s = 0; s < slices; ++s) {
          const Range slice = share(s, slices, depth);
          const Range in_k = {k.begin + slice.begin, k.begin + slice.end};
          const int64_t size = slice.end - slice.begin, next = s + 1 < slices ? in_k.end : k.begin;
          const uint32_t* packed_a = own_a;
          if (own_a)
            pack_a(i, in_k, own_a);
          else
            packed_a = shared + (i * steps + in_k.begin) * kTileStep;
          for (int64_t j = 0; j < q.end - q.begin; ++j) {
            if (own_a)
              ask_for_rows(i + (s + 1 == slices), {next, next + size}, share(j, q.end - q.begin, kTilePanel));
            multiply_tiles<Emulated>(size, a_panel(packed_a),
                                     b_panel(packed_b + (j * depth + slice.begin) * kTileStep),
                                     to + j * kTilePanel, stride, block > 0 || s > 0);
          }
        }
        if (block + 1 < blocks_k) continue;
        const int64_t row = i * kTilePanel, col = q.begin * kTilePanel;
        deliver(GemmTile{batch, row0 + row, col0 + col, smaller(kTilePanel, rows - row),
                         smaller(q.end * kTilePanel, cols) - col, to, stride});
      }
    }
  }

  void multiply_block(int64_t steps) const {
    const int64_t col_panels = pieces(cols, kTilePanel), row_panels = pieces(rows, kTilePanel);
    const int64_t count = pieces(col_panels, width);
    const int64_t groups = blocks_k > 1 ? pieces(row_panels, kGroupPanels) : row_panels;
    const int64_t turn = blocks_k > 1 ? 1 : GemmJobs::kTurn;
    GemmJobs jobs(count, groups, turn);
    run_tasks(parallel, smaller(thread_count(), jobs.most_threads()), [&](int64_t) {
      const TileUse<Emulated> tiles;
      uint32_t* packed_b = nullptr;
      for (int64_t first, job = -1, at = -1; jobs.take(job, first);) {
        const Range q = share(job, count, col_panels);
        const Range p = {share(first, groups, row_panels).begin,
                         share(smaller(first + turn, groups) - 1, groups, row_panels).end};
        if (job != at) packed_b = nullptr, at = job;
        group(p, q, steps, packed_b);
      }
    });
  }

  const FinishedGemm& g;
  const Deliver& deliver;
  const bool parallel;
  int64_t batch = 0;  // the matrix at work
  const T *a = nullptr, *b = nullptr;
  uint32_t* shared = nullptr;                      // A, packed by all threads
  int64_t blocks_k = 1, width = 1;                 // width: of a job, in panels
  int64_t row0 = 0, col0 = 0, rows = 0, cols = 0;  // the block at work
};

}  // namespace
}  // namespace engine::cpu::ENGINE_ISA

#endif
