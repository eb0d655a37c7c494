// Read first: ladder.h. The rungs in order; docs/07-kernels-cpu.md quotes them.
#include "engine/bench/ladder.h"

#include "engine/cpu/chunk.h"
#include "engine/cpu/gemm_pack.h"

namespace engine::cpu::ENGINE_ISA {

// Rung 1: the definition. The sum over p is one chain, and b is read down a column: a cache line for each
// number.
void ladder_loops(const LadderProduct& g) {
  for (int64_t i = 0; i < g.m; ++i)
    for (int64_t j = 0; j < g.n; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < g.k; ++p) sum += g.a[i * g.k + p] * g.b[p * g.n + j];
      g.c[i * g.n + j] = sum;
    }
}

// Rung 2: the same loops in another order. Rows of b and c are read as they lie, so the compiler uses vector
// registers.
void ladder_rows(const LadderProduct& g) {
  for (int64_t i = 0; i < g.m; ++i) {
    float* __restrict c = g.c + i * g.n;
    for (int64_t j = 0; j < g.n; ++j) c[j] = 0;
    for (int64_t p = 0; p < g.k; ++p) {
      const float a = g.a[i * g.k + p];
      const float* b = g.b + p * g.n;
      for (int64_t j = 0; j < g.n; ++j) c[j] += a * b[j];
    }
  }
}

// Rung 3: a block of b is used for all rows of a before the next one is read, so it stays in the cache.
void ladder_blocks(const LadderProduct& g) {
  constexpr int64_t kBlockK = 128, kBlockN = 384;  // 192 KiB of b, in the second-level cache
  for (int64_t i = 0; i < g.m * g.n; ++i) g.c[i] = 0;
  for (int64_t j0 = 0; j0 < g.n; j0 += kBlockN)
    for (int64_t p0 = 0; p0 < g.k; p0 += kBlockK) {
      const int64_t cols = g.n - j0 < kBlockN ? g.n - j0 : kBlockN;
      const int64_t steps = g.k - p0 < kBlockK ? g.k - p0 : kBlockK;
      for (int64_t i = 0; i < g.m; ++i) {
        float* __restrict c = g.c + i * g.n + j0;
        for (int64_t p = p0; p < p0 + steps; ++p) {
          const float a = g.a[i * g.k + p];
          const float* b = g.b + p * g.n + j0;
          for (int64_t j = 0; j < cols; ++j) c[j] += a * b[j];
        }
      }
    }
}

namespace {

using Row = Vector<float>;
constexpr int kTileCols = kCols<float>;  // kRows x kTileCols sums fill the registers

// C tile (+)= A tile * B tile: `a_row` and `a_step` say where A's next row and next k are, `b_step` where B's
// next k is. The sums stay in registers over all of k.
ENGINE_INLINE void multiply_tile(int64_t k, const float* a, int64_t a_row, int64_t a_step, const float* b,
                                 int64_t b_step, float* c, int64_t c_row, bool add) {
  Row sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) sum[i][j] = Row{};
  for (int64_t p = 0; p < k; ++p, a += a_step, b += b_step) {
    Row row[kVectors];
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) row[j] = load_vector<float>(b + j * kLanes<float>);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) sum[i][j] += a[i * a_row] * row[j];
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      float* to = c + i * c_row + j * kLanes<float>;
      store_vector(to, add ? load_vector<float>(to) + sum[i][j] : sum[i][j]);
    }
}

}  // namespace

// Rung 4: a tile of c is summed up in registers. A number that is loaded is used kRows or kTileCols times.
void ladder_registers(const LadderProduct& g) {
  for (int64_t j = 0; j < g.n; j += kTileCols)
    for (int64_t i = 0; i < g.m; i += kRows)
      multiply_tile(g.k, g.a + i * g.k, g.k, 1, g.b + j, g.n, g.c + i * g.n + j, g.n, false);
}

// Rung 5: both operands are copied first, into panels in the order in which the tiles read them.
void ladder_packed(const LadderProduct& g) {
  constexpr int64_t kSlice = 384;  // of k: a panel of b has 48 KiB and stays in the second-level cache
  float* const a_panels = scratch<float>(g.m * kSlice, 0);
  float* const b_panel = scratch<float>(kTileCols * kSlice, 1);
  for (int64_t p0 = 0; p0 < g.k; p0 += kSlice) {
    const int64_t steps = p0 + kSlice < g.k ? kSlice : g.k - p0;
    for (int64_t i = 0; i < g.m; i += kRows)
      for (int64_t p = 0; p < steps; ++p)
        for (int64_t r = 0; r < kRows; ++r) a_panels[i * steps + p * kRows + r] = g.a[(i + r) * g.k + p0 + p];
    for (int64_t j = 0; j < g.n; j += kTileCols) {
      for (int64_t p = 0; p < steps; ++p)
        for (int64_t x = 0; x < kTileCols; ++x) b_panel[p * kTileCols + x] = g.b[(p0 + p) * g.n + j + x];
      for (int64_t i = 0; i < g.m; i += kRows)
        multiply_tile(steps, a_panels + i * steps, 1, kRows, b_panel, kTileCols, g.c + i * g.n + j, g.n,
                      p0 > 0);
    }
  }
}

}  // namespace engine::cpu::ENGINE_ISA
