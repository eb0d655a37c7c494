// Read first: engine/kernel/gemm.h, finished_gemm.h, gemm_pack.h. Few rows on the left take another way:
// gemm_few.h.
//
// A packed product in the manner of Goto and van de Geijn ("Anatomy of high-performance matrix
// multiplication", ACM TOMS 34(3), 2008):
//
//   for blocks of rows and columns, for blocks of k    (sizes: kBlock*)
//     all threads pack the panels of the block's shorter side    (shared; they stay in L3)
//     all threads take jobs (gemm_jobs.h), strips of the longer side: pack their panels    (own; in L2)
//       for each tile of the strip, for each slice of k (kSlice)
//         for each B panel, for each A panel: the micro-kernel
//
// What is packed for one strip is written and read in L2 and travels no further; what is shared is the
// smaller of the two. All sizes follow from the product's shape, and every element adds up its slices in
// order: bits do not depend on threads.

#include "engine/cpu/gemm_few.h"
#include "engine/cpu/gemm_jobs.h"
#include "engine/cpu/gemm_pack.h"
#include "engine/cpu/gemm_tiles.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

constexpr int64_t kSlice = 384;                                // of k
constexpr int64_t kWholeK = 3 * kSlice, kBlockK = 2 * kSlice;  // up to kWholeK in one block
constexpr int64_t kBlockShared = 2048, kBlockJobs = 3072;
// A job's strip of rows or columns, and its tiles across the strip.
constexpr int64_t kJobRows = 112, kJobCols = 96, kTileRows = 56, kTileCols = 96;
static_assert(kBlockJobs / kJobCols < GemmJobs::kMost);
constexpr int64_t kStreamedSums = int64_t(1) << 18;
constexpr int64_t kPackPanels = 4;             // neighbours packed by one task
constexpr int64_t kAheadA = 48, kAheadB = 16;  // steps of k between a prefetch and its use

/// C[kRows, kCols] = (add ? C : 0) + A panel * B panel. The panels' sum is formed by itself and added once:
/// in one long chain over k, small terms would vanish beside a large sum.
template <class M>
static void micro_kernel(int64_t steps, const typename M::Packed* a, const typename M::Packed* b,
                         typename M::Sum* c, int64_t stride, bool add) {
  using C = typename M::Sum;
  using P = typename M::Packed;
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)  // wanted at the end: asked for now
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) __builtin_prefetch(c + i * stride + j * kLanes<C>, 1);
  Vector<C> sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) sum[i][j] = Vector<C>{};
  for (int64_t p = 0; p < steps; ++p, a += kRowsPadded, b += kCols<P>) {
    Vector<P> row[kVectors];
    // B comes out of L2, A out of L3 at first; the processor's own prefetcher follows neither closely enough.
#pragma GCC unroll 4
    for (int j = 0; j < kCols<P>; j += 64 / int(sizeof(P))) __builtin_prefetch(b + kAheadB * kCols<P> + j);
    __builtin_prefetch(a + kAheadA * kRowsPadded);
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) row[j] = load_vector<P>(b + j * kLanes<P>);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) M::multiply_add(sum[i][j], a[i], row[j]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      C* to = c + i * stride + j * kLanes<C>;
      store_vector(to, add ? load_vector<C>(to) + sum[i][j] : sum[i][j]);
    }
}

/// The same where only rows x cols of the result exist in C.
template <class M>
static void micro_kernel_edge(int64_t steps, const typename M::Packed* a, const typename M::Packed* b,
                              typename M::Sum* c, int64_t stride, bool add, int64_t rows, int64_t cols) {
  using C = typename M::Sum;
  alignas(64) C full[kRows * kCols<C>];
  if (add)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < cols; ++j) full[i * kCols<C> + j] = c[i * stride + j];
  micro_kernel<M>(steps, a, b, full, kCols<C>, add);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) c[i * stride + j] = full[i * kCols<C> + j];
}

/// Rows of C become rows of R, each where it begins.
template <class R, class C>
void round_sums(C* sums, int64_t rows, int64_t cols, int64_t stride) {
  if constexpr (!std::is_same_v<R, C>)
    for (int64_t r = 0; r < rows; ++r, sums += stride)
      for (int64_t i = 0; i < cols; ++i) {
        const R rounded = R(sums[i]);
        __builtin_memcpy(reinterpret_cast<char*>(sums) + i * int64_t(sizeof(R)), &rounded, sizeof(R));
      }
}

/// A finished tile goes to the caller, or into C.
template <class C>
void deliver(const FinishedGemm& g, const GemmTile& t) {
  if (g.finish) return g.finish(g.context, t);
  const auto store_tile = [&](auto element) {
    using T = decltype(element);
    T* to = static_cast<T*>(g.c) + t.batch * g.c_batch + t.row * g.c_stride + t.col;
    for (int64_t r = 0; r < t.rows; ++r)
      store(to + r * g.c_stride, static_cast<const C*>(t.values) + r * t.stride, t.cols, g.accumulate);
  };
  if constexpr (std::is_same_v<C, double>)
    store_tile(double{});
  else if (g.c_dtype == DType::f32)
    store_tile(float{});
  else if (g.c_dtype == DType::bf16)
    store_tile(bf16{});
  else
    store_tile(f16{});
}

/// The product of panels packed and multiplied as M says. k is counted in M's steps.
template <class M>
struct Product {
  using C = typename M::Sum;
  using R = typename M::Result;
  using P = typename M::Packed;

  Product(const FinishedGemm& gemm, bool all_threads) : g(gemm), parallel(all_threads) {}

  const FinishedGemm& g;
  const bool parallel;
  int64_t batch = 0;  // the matrix at work
  GemmOperand a, b;
  C* c = nullptr;        // where sums are kept: C itself, or scratch
  int64_t c_stride = 0;  // of c
  bool by_rows = false;  // strips are rows: A is packed by job, B shared
  int64_t row0 = 0, col0 = 0, k0 = 0, rows = 0, cols = 0, ks = 0;  // the block at work
  P* shared = nullptr;

  /// Packed panels: slice by slice of k, in each slice `count` panels, the first of which is the block's
  /// panel `first`.
  struct Panels {
    P* data;
    int64_t first, count;
    template <int Padded>
    P* at(Range slice, int64_t panel) const {
      return data + Padded * (slice.begin * count + (panel - first) * (slice.end - slice.begin));
    }
  };

  int64_t steps() const { return pieces(g.k, M::kDepth); }
  bool direct() const { return !g.finish && g.c_dtype == dtype_of<C>(); }

  int64_t row_panels() const { return pieces(rows, kRows); }
  int64_t col_panels() const { return pieces(cols, kCols<C>); }
  int64_t slices() const { return ks ? pieces(ks, kSlice) : 1; }
  Range slice(int64_t s) const { return share(s, slices(), ks); }

  /// Packs the block's panels r of one side, `first` + [0, size) in the matrix, where `to` has them.
  template <int Width, int Padded>
  void pack(const GemmOperand& x, bool across, int64_t first, int64_t size, Range r, const Panels& to) const {
    const int64_t begin = r.begin * Width, end = smaller(r.end * Width, size);
    for (int64_t s = 0; s < slices(); ++s) {
      const Range k = slice(s);
      const int64_t from = M::kDepth * (k0 + k.begin);
      pack_panels<M, Width, Padded>(x, across, first + begin, end - begin, from,
                                    smaller(M::kDepth * (k.end - k.begin), g.k - from),
                                    to.template at<Padded>(k, r.begin));
    }
  }
  void pack_a(Range r, const Panels& to) const {
    pack<kRows, kRowsPadded>(a, a.transposed, row0, rows, r, to);
  }
  void pack_b(Range r, const Panels& to) const {
    pack<kCols<P>, kCols<P>>(b, !b.transposed, col0, cols, r, to);
  }

  Panels shared_panels() const { return {shared, 0, by_rows ? col_panels() : row_panels()}; }
  void pack_shared() const {
    const Panels to = shared_panels();
    run_tasks(parallel, pieces(to.count, kPackPanels), [&](int64_t task) {
      const Range r = {task * kPackPanels, smaller((task + 1) * kPackPanels, to.count)};
      by_rows ? pack_b(r, to) : pack_a(r, to);
    });
  }
  Panels pack_job(Range r) const {
    const int64_t count = r.end - r.begin, padded = by_rows ? kRowsPadded : kCols<P>;
    const Panels to = {scratch<P>(count * padded * ks, kSlotJob), r.begin, count};
    by_rows ? pack_a(r, to) : pack_b(r, to);
    return to;
  }

  /// The block's row panels i times its column panels j.
  void tile(Range i, Range j, const Panels& packed_a, const Panels& packed_b) const {
    const int64_t first_row = i.begin * kRows, first_col = j.begin * kCols<C>;
    const int64_t tile_rows = smaller(i.end * kRows, rows) - first_row,
                  tile_cols = smaller(j.end * kCols<C>, cols) - first_col;
    C* sums = c;
    int64_t stride = c_stride;
    if (sums) {
      sums += (direct() ? row0 + first_row : first_row) * stride + (direct() ? col0 + first_col : first_col);
    } else {
      stride = (j.end - j.begin) * kCols<C>;
      sums = scratch<C>((i.end - i.begin) * kRows * stride, kSlotTile);
    }
    for (int64_t s = 0; s < slices(); ++s) {
      const Range k = slice(s);
      const bool add = s > 0 || k0 > 0 || (direct() && g.accumulate);
      for (int64_t q = j.begin; q < j.end; ++q) {
        const P* pb = packed_b.template at<kCols<P>>(k, q);
        const int64_t w = smaller(kCols<C>, cols - q * kCols<C>);
        for (int64_t p = i.begin; p < i.end; ++p) {
          const P* pa = packed_a.template at<kRowsPadded>(k, p);
          const int64_t h = smaller(kRows, rows - p * kRows);
          C* to = sums + (p - i.begin) * kRows * stride + (q - j.begin) * kCols<C>;
          if (h == kRows && w == kCols<C>)
            micro_kernel<M>(k.end - k.begin, pa, pb, to, stride, add);
          else
            micro_kernel_edge<M>(k.end - k.begin, pa, pb, to, stride, add, h, w);
        }
      }
    }
    if (direct() || k0 + ks < steps()) return;
    round_sums<R>(sums, tile_rows, tile_cols, stride);
    deliver<R>(g, {batch, row0 + first_row, col0 + first_col, tile_rows, tile_cols, sums,
                   stride * int64_t(sizeof(C) / sizeof(R))});
  }

  void multiply_block() const {
    const int64_t strip = by_rows ? row_panels() : col_panels(), across = shared_panels().count;
    const int64_t count = pieces(strip, by_rows ? kJobRows / kRows : kJobCols / kCols<C>);
    const int64_t tiles = pieces(across, by_rows ? kTileCols / kCols<C> : kTileRows / kRows);
    GemmJobs jobs(count, tiles);
    run_tasks(parallel, smaller(thread_count(), jobs.most_threads()), [&](int64_t) {
      Panels own = {};
      for (int64_t first, job = -1, at = -1; jobs.take(job, first);) {
        const Range r = share(job, count, strip);
        if (job != at) own = pack_job(r), at = job;
        for (int64_t t = first; t < smaller(first + GemmJobs::kTurn, tiles); ++t) {
          const Range across_strip = share(t, tiles, across);
          by_rows ? tile(r, across_strip, own, shared_panels()) : tile(across_strip, r, shared_panels(), own);
        }
      }
    });
  }

  void run_matrix(int64_t index) {
    batch = index;
    a = g.a, b = g.b;
    a.data = static_cast<const char*>(a.data) + index * g.a_batch * size_of(a.dtype);
    b.data = static_cast<const char*>(b.data) + index * g.b_batch * size_of(b.dtype);
    by_rows = g.m >= g.n;
    const int64_t blocks_k = steps() <= kWholeK ? 1 : pieces(steps(), kBlockK);
    const int64_t most_shared = smaller(by_rows ? g.n : g.m, kBlockShared);
    const int64_t most_jobs = smaller(by_rows ? g.m : g.n, kBlockJobs);
    const int64_t padded =
        by_rows ? pieces(most_shared, kCols<P>) * kCols<P> : pieces(most_shared, kRows) * kRowsPadded;
    shared = scratch<P>(padded * pieces(steps(), blocks_k), kSlotShared);
    if (direct())
      c = static_cast<C*>(g.c) + index * g.c_batch, c_stride = g.c_stride;
    else if (blocks_k > 1)  // sums of a block are kept from one block of k to the next
      c = scratch<C>(most_shared * most_jobs, kSlotTiles), c_stride = by_rows ? most_shared : most_jobs;
    int64_t &shared0 = by_rows ? col0 : row0, &jobs0 = by_rows ? row0 : col0;
    for (shared0 = 0; shared0 < (by_rows ? g.n : g.m); shared0 += kBlockShared) {
      for (jobs0 = 0; jobs0 < (by_rows ? g.m : g.n); jobs0 += kBlockJobs) {
        rows = smaller(by_rows ? kBlockJobs : kBlockShared, g.m - row0);
        cols = smaller(by_rows ? kBlockShared : kBlockJobs, g.n - col0);
        for (int64_t i = 0; i < blocks_k; ++i) {
          const Range k = share(i, blocks_k, steps());
          k0 = k.begin, ks = k.end - k.begin;
          if (jobs0 == 0 || blocks_k > 1) pack_shared();
          multiply_block();
        }
      }
    }
  }
};

template <class C>
void run_few(const FinishedGemm& g, bool parallel) {
  const auto with = [&](auto element) {
    using T = decltype(element);
    const auto tile_done = [&](const GemmTile& t) { deliver<C>(g, t); };
    if (g.m == 1)
      multiply_few<1, C, T>(g, parallel, kSlotShared, tile_done);
    else if (g.m == 2)
      multiply_few<2, C, T>(g, parallel, kSlotShared, tile_done);
    else if (g.m <= 4)
      multiply_few<4, C, T>(g, parallel, kSlotShared, tile_done);
    else
      multiply_few<8, C, T>(g, parallel, kSlotShared, tile_done);
  };
  if constexpr (std::is_same_v<C, double>)
    with(double{});
  else if (g.b.dtype == DType::f32)
    with(float{});
  else if (g.b.dtype == DType::bf16)
    with(bf16{});
  else
    with(f16{});
}

// Many small matrices: one task each. A small product is not worth waking the other threads.
constexpr int64_t kSmallBatch = int64_t(1) << 22, kSmall = int64_t(1) << 17;
int64_t work_of(const Gemm& g) { return g.m * g.n * g.k; }

/// product_of(all threads) makes what has run_matrix(i).
template <class F>
void run_batch(const FinishedGemm& g, const F& product_of) {
  const int64_t work = work_of(g);
  if (g.batch > 1 && work < kSmallBatch && work * g.batch >= kSmall) {
    parallel_for(g.batch, [&](int64_t i) { product_of(false).run_matrix(i); });
  } else {
    auto product = product_of(work >= kSmall);
    for (int64_t i = 0; i < g.batch; ++i) product.run_matrix(i);
  }
}

template <class M>
void run(const FinishedGemm& g) {
  run_batch(g, [&](bool parallel) { return Product<M>(g, parallel); });
}

#if defined(__AVX512F__)
/// A weight's gradient, which nobody reads before all others are there: better written past the caches.
bool is_streamed(const FinishedGemm& g) {
  return g.a.transposed && !g.finish && g.c_dtype == DType::f32 && !g.accumulate &&
         g.m * g.n >= kStreamedSums && g.c_stride % 16 == 0 && reinterpret_cast<uintptr_t>(g.c) % 64 == 0 &&
         g.batch == 1;
}
void stream_tile(const FinishedGemm& g, const GemmTile& t) {
  float* to = static_cast<float*>(g.c) + t.row * g.c_stride + t.col;
  const float* from = static_cast<const float*>(t.values);
  for (int64_t r = 0; r < t.rows; ++r, to += g.c_stride, from += t.stride) {
    int64_t i = 0;
    for (; i + 16 <= t.cols; i += 16) _mm512_stream_ps(to + i, _mm512_loadu_ps(from + i));
    for (; i < t.cols; ++i) to[i] = from[i];
  }
  _mm_sfence();
}

template <class T, bool Emulated>
void run_tiles(const FinishedGemm& g) {
  const bool streamed = is_streamed(g);
  const auto finished = [&](const GemmTile& t) { streamed ? stream_tile(g, t) : deliver<float>(g, t); };
  run_batch(
      g, [&](bool parallel) { return TileProduct<T, Emulated, decltype(finished)>(g, parallel, finished); });
}
#endif

}  // namespace

void finished_gemm(const FinishedGemm& g) {
  if (g.m == 0 || g.n == 0) return;
  const bool is_double = g.a.dtype == DType::f64;
  if (has_few_rows(g)) {
    const bool parallel = work_of(g) >= kSmall;
    return is_double ? run_few<double>(g, parallel) : run_few<float>(g, parallel);
  }
  if (is_double) return run<Widened<double>>(g);
  if (g.wide && (g.a.dtype == DType::f32 || g.b.dtype == DType::f32)) return run<Widened<double, float>>(g);
#if defined(__AVX512F__)
  if (g.a.dtype == DType::f16 && g.b.dtype == DType::f16) {
    if (bf16_product() == Bf16Product::amx) return run_tiles<f16, false>(g);
    if (bf16_product() == Bf16Product::emulated_amx) return run_tiles<f16, true>(g);
  }
  if (g.a.dtype == DType::bf16 && g.b.dtype == DType::bf16) {
    switch (bf16_product()) {
      case Bf16Product::amx: return run_tiles<bf16, false>(g);
      case Bf16Product::emulated_amx: return run_tiles<bf16, true>(g);
      case Bf16Product::pairs: return run<Bf16Pairs<false>>(g);
      case Bf16Product::emulated_pairs: return run<Bf16Pairs<true>>(g);
      case Bf16Product::widened: break;
    }
  }
#endif
  run<Widened<float>>(g);
}

void gemm(const Gemm& g) { finished_gemm({g}); }

}  // namespace engine::cpu::ENGINE_ISA
