// Few rows times W^T: what generating one token of a few sequences is made of. Read first: gemm_pack.h.
//
// With at most kFewRows rows on the left, packing W would cost more than multiplying by it. Here W is read
// once, where it lies: every element of C is a dot product along k, whose vector of partial sums stays in a
// register. The bound is the memory W is read from. Tasks are fixed tiles of kFewCols rows of W and each dot
// product adds in one order, so any number of threads gives the same bits. Included by gemm_cpu.cc only.
#pragma once

#include <utility>

#include "engine/cpu/finished_gemm.h"
#include "engine/cpu/gemm_pack.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

constexpr int64_t kFewRows = 8, kFewCols = 32;

/// Sum over lanes, halving: lane i takes lane i + half.
template <int Half, class V, int... Lane>
ENGINE_INLINE V fold(V v, std::integer_sequence<int, Lane...>) {
  return v + __builtin_shufflevector(v, v, (Lane + Half) % int(sizeof...(Lane))...);
}
template <class C, int Half = kLanes<C> / 2>
ENGINE_INLINE C sum_lanes(Vector<C> v) {
  if constexpr (Half == 0)
    return v[0];
  else
    return sum_lanes<C, Half / 2>(fold<Half>(v, std::make_integer_sequence<int, kLanes<C>>()));
}

/// sum += one vector of each row of x times one vector of each row of w.
template <int Rows, int Cols, class C, class T>
ENGINE_INLINE void add_products(Vector<C> (&sum)[Rows][Cols], const C* x, int64_t ldx, const T* w,
                                int64_t stride) {
  Vector<C> row[Cols];
#pragma GCC unroll 4
  for (int j = 0; j < Cols; ++j) row[j] = load_vector<C>(w + j * stride);
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    const Vector<C> values = load_vector<C>(x + r * ldx);
#pragma GCC unroll 4
    for (int j = 0; j < Cols; ++j) sum[r][j] += values * row[j];
  }
}

/// sums[r * kFewCols + j] = x row r . w row j, for r < Rows and j < Cols. Rows of x lie `ldx` apart and end
/// in zeros up to a whole vector. Steps: vectors of k with sums of their own.
template <int Rows, int Cols, int Steps, class C, class T>
static void dot_products(int64_t k, const C* x, int64_t ldx, const T* w, int64_t stride, C* sums) {
  constexpr int n = kLanes<C>;
  Vector<C> sum[Steps][Rows][Cols];
#pragma GCC unroll 4
  for (int s = 0; s < Steps; ++s)
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
      for (int j = 0; j < Cols; ++j) sum[s][r][j] = Vector<C>{};
  int64_t p = 0;
  for (; p + Steps * n <= k; p += Steps * n) {
    if constexpr (Cols > 1 && sizeof(T) < sizeof(C))  // short rows: each of them would begin with a wait
#pragma GCC unroll 4
      for (int j = 0; j < Cols; ++j) __builtin_prefetch(w + (j + Cols) * stride + p);
#pragma GCC unroll 4
    for (int s = 0; s < Steps; ++s)
      add_products<Rows, Cols>(sum[s], x + p + s * n, ldx, w + p + s * n, stride);
  }
  for (; p + n <= k; p += n) add_products<Rows, Cols>(sum[0], x + p, ldx, w + p, stride);
  if (p < k) {
    T ends[Cols * n] = {};
    for (int j = 0; j < Cols; ++j)
      __builtin_memcpy(ends + j * n, w + j * stride + p, size_t(k - p) * sizeof(T));
    add_products<Rows, Cols>(sum[0], x + p, ldx, ends, n);
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < Cols; ++j) {
#pragma GCC unroll 4
      for (int s = 1; s < Steps; ++s) sum[0][r][j] += sum[s][r][j];
      sums[r * kFewCols + j] = sum_lanes<C>(sum[0][r][j]);
    }
}

/// The rows of W one by one: memory is then read from one end to the other, which the processor's own
/// prefetcher follows at twice the speed of four rows side by side. Many rows of x would be loaded too often
/// that way.
template <int Rows, class C, class T>
static void few_tile(int64_t cols, int64_t k, const C* x, int64_t ldx, const T* w, int64_t stride, C* sums) {
  constexpr int kAtOnce = Rows <= 4 ? 1 : 2, kSteps = Rows <= 2 ? 4 : Rows <= 4 ? 2 : 1;
  int64_t j = 0;
  for (; j + kAtOnce <= cols; j += kAtOnce)
    dot_products<Rows, kAtOnce, kSteps>(k, x, ldx, w + j * stride, stride, sums + j);
  for (; j < cols; ++j) dot_products<Rows, 1, kSteps>(k, x, ldx, w + j * stride, stride, sums + j);
}

bool has_few_rows(const Gemm& g) {
  return g.m <= kFewRows && g.batch == 1 && g.b.transposed && !g.a.transposed;
}

/// x as Compute<T> rows that end in zeros: as many rows as a kernel wants, the last ones zero.
template <class C>
static const C* widened_rows(const Gemm& g, int64_t rows, int64_t ldx, int slot) {
  C* x = scratch<C>(rows * ldx, slot);
  if (rows * ldx == 0) return x;  // null
  __builtin_memset(x, 0, size_t(rows * ldx) * sizeof(C));
  const auto widen_rows = [&](auto element) {
    using T = decltype(element);
    for (int64_t r = 0; r < g.m; ++r)
      widen_n(static_cast<const T*>(g.a.data) + r * g.a.stride, x + r * ldx, g.k);
  };
  if constexpr (std::is_same_v<C, double>)
    widen_rows(double{});
  else if (g.a.dtype == DType::f32)
    widen_rows(float{});
  else if (g.a.dtype == DType::bf16)
    widen_rows(bf16{});
  else
    widen_rows(f16{});
  return x;
}

/// Every tile of the product, given to `deliver`.
template <int Rows, class C, class T, class Deliver>
static void multiply_few(const Gemm& g, bool parallel, int slot, const Deliver& deliver) {
  const int64_t ldx = (g.k + kLanes<C> - 1) / kLanes<C> * kLanes<C>;
  const C* x = widened_rows<C>(g, Rows, ldx, slot);
  const T* w = static_cast<const T*>(g.b.data);
  const auto tile = [&](int64_t begin, int64_t end) {
    C sums[Rows * kFewCols];
    few_tile<Rows>(end - begin, g.k, x, ldx, w + begin * g.b.stride, g.b.stride, sums);
    deliver(GemmTile{0, 0, begin, g.m, end - begin, sums, kFewCols});
  };
  if (parallel)
    parallel_chunks(g.n, kFewCols, tile);
  else
    for (int64_t j = 0; j < g.n; j += kFewCols) tile(j, j + kFewCols < g.n ? j + kFewCols : g.n);
}

}  // namespace
}  // namespace engine::cpu::ENGINE_ISA
