// Read first: gemm.h, gemm_pack.h. Few rows on the left take another way: gemm_few.h.
//
// A packed product in the manner of Goto and van de Geijn ("Anatomy of high-performance matrix
// multiplication", ACM TOMS 34(3), 2008), with both packings shared by all threads:
//
//   for a block of columns, a block of rows, a block of k    (sizes: kBlock*; packed operands stay in L3)
//     all threads pack A's and B's panels of the block
//     all threads take tiles of C: for each slice of k (kSlice; the tile's panels stay in L2)
//       for each B panel, for each A panel: the micro-kernel
//
// All sizes follow from the product's shape, and a tile adds up its slices in order: bits do not depend on
// threads.
#include "engine/cpu/gemm.h"

#include "engine/cpu/gemm_few.h"
#include "engine/cpu/gemm_pack.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

constexpr int kSlotTiles = 4, kSlotA = 5, kSlotB = 6, kSlotTile = 7;  // scratch
constexpr int64_t kSlice = 384;                                       // of k
constexpr int64_t kBlockK = 3 * kSlice, kBlockRows = 2048, kBlockCols = 3072;
constexpr int64_t kTileRows = 56, kTileCols = 384;
constexpr int64_t kPackPanels = 4;  // neighbours packed by one task
constexpr int64_t kAhead = 16;      // steps of k between a prefetch and its use

int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }
int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/// C[kRows, kCols] = (add ? C : 0) + A panel * B panel. The panels' sum is formed by itself and added once:
/// in one long chain over k, small terms would vanish beside a large sum.
template <class M>
static void micro_kernel(int64_t steps, const typename M::Packed* a, const typename M::Packed* b,
                         typename M::Sum* c, int64_t stride, bool add) {
  using C = typename M::Sum;
  using P = typename M::Packed;
  if (add) {  // C is wanted at the end: ask for it now
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; ++j) __builtin_prefetch(c + i * stride + j * kLanes<C>, 1);
  }
  Vector<C> sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) sum[i][j] = Vector<C>{};
  for (int64_t p = 0; p < steps; ++p, a += kRowsPadded, b += kCols<P>) {
    Vector<P> row[kVectors];
    // The panels come out of L2; the processor's own prefetcher follows neither of the two closely enough.
#pragma GCC unroll 4
    for (int j = 0; j < kCols<P>; j += 64 / int(sizeof(P))) __builtin_prefetch(b + kAhead * kCols<P> + j);
    __builtin_prefetch(a + kAhead * kRowsPadded);
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

/// Piece i of n items in `count` nearly equal pieces, in units.
struct Range {
  int64_t begin, end;
};
Range share(int64_t i, int64_t count, int64_t n) { return {i * n / count, (i + 1) * n / count}; }

/// A finished tile goes to the caller, or into C.
template <class C>
void deliver(const Gemm& g, const GemmTile& t) {
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
  using P = typename M::Packed;

  Product(const Gemm& gemm, bool all_threads) : g(gemm), parallel(all_threads) {}

  const Gemm& g;
  const bool parallel;
  int64_t batch = 0;  // the matrix at work
  GemmOperand a, b;
  C* c = nullptr;        // where sums are kept: C itself, or scratch
  int64_t c_stride = 0;  // of c
  int64_t row0 = 0, col0 = 0, k0 = 0, rows = 0, cols = 0, ks = 0;  // the block at work
  P* packed_a = nullptr;
  P* packed_b = nullptr;

  template <class F>
  void each(int64_t tasks, F&& f) const {
    if (parallel)
      parallel_for(tasks, f);
    else
      for (int64_t i = 0; i < tasks; ++i) f(i);
  }

  int64_t steps() const { return pieces(g.k, M::kDepth); }
  bool direct() const { return !g.finish && g.c_dtype == dtype_of<C>(); }

  // Panels lie slice by slice: slice s of k, then panel, then k inside the slice.
  int64_t slices() const { return ks ? pieces(ks, kSlice) : 1; }
  Range slice(int64_t s) const { return share(s, slices(), ks); }

  void pack() {
    const int64_t row_panels = pieces(rows, kRows), col_panels = pieces(cols, kCols<C>);
    const int64_t row_tasks = pieces(row_panels, kPackPanels), col_tasks = pieces(col_panels, kPackPanels);
    each(row_tasks + col_tasks, [&](int64_t task) {
      const bool is_row = task < row_tasks;
      const int64_t panels = is_row ? row_panels : col_panels;
      const int64_t panel = (is_row ? task : task - row_tasks) * kPackPanels;
      for (int64_t s = 0; s < slices(); ++s) {
        const Range k = slice(s);
        const int64_t n = k.end - k.begin, at = k.begin * panels + panel * n;
        const int64_t first = M::kDepth * (k0 + k.begin), elements = smaller(M::kDepth * n, g.k - first);
        if (is_row)
          pack_panels<M, kRows, kRowsPadded>(a, a.transposed, row0 + panel * kRows,
                                             smaller(kPackPanels * kRows, rows - panel * kRows), first,
                                             elements, packed_a + kRowsPadded * at);
        else
          pack_panels<M, kCols<P>, kCols<P>>(b, !b.transposed, col0 + panel * kCols<P>,
                                             smaller(kPackPanels * kCols<P>, cols - panel * kCols<P>), first,
                                             elements, packed_b + kCols<P> * at);
      }
    });
  }

  // Rows and columns of the block that a tile covers, in panels.
  void tile(Range i, Range j) {
    const int64_t row_panels = pieces(rows, kRows), col_panels = pieces(cols, kCols<C>);
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
      const int64_t n = k.end - k.begin;
      const bool add = s > 0 || k0 > 0 || (direct() && g.accumulate);
      for (int64_t q = j.begin; q < j.end; ++q) {
        const P* pb = packed_b + kCols<C> * (k.begin * col_panels + q * n);
        const int64_t w = smaller(kCols<C>, cols - q * kCols<C>);
        for (int64_t p = i.begin; p < i.end; ++p) {
          const P* pa = packed_a + kRowsPadded * (k.begin * row_panels + p * n);
          const int64_t h = smaller(kRows, rows - p * kRows);
          C* to = sums + (p - i.begin) * kRows * stride + (q - j.begin) * kCols<C>;
          if (h == kRows && w == kCols<C>)
            micro_kernel<M>(n, pa, pb, to, stride, add);
          else
            micro_kernel_edge<M>(n, pa, pb, to, stride, add, h, w);
        }
      }
    }
    if (!direct() && k0 + ks == steps())
      deliver<C>(g, {batch, row0 + first_row, col0 + first_col, tile_rows, tile_cols, sums, stride});
  }

  void run_matrix(int64_t index) {
    batch = index;
    a = g.a, b = g.b;
    a.data = static_cast<const char*>(a.data) + index * g.a_batch * size_of(a.dtype);
    b.data = static_cast<const char*>(b.data) + index * g.b_batch * size_of(b.dtype);
    const int64_t most_k = smaller(steps(), kBlockK), most_rows = smaller(g.m, kBlockRows),
                  most_cols = smaller(g.n, kBlockCols);
    packed_a = scratch<P>(pieces(most_rows, kRows) * kRowsPadded * most_k, kSlotA);
    packed_b = scratch<P>(pieces(most_cols, kCols<C>) * kCols<C> * most_k, kSlotB);
    if (direct())
      c = static_cast<C*>(g.c) + index * g.c_batch, c_stride = g.c_stride;
    else if (steps() > kBlockK)  // sums of a block are kept from one block of k to the next
      c = scratch<C>(most_rows * most_cols, kSlotTiles), c_stride = most_cols;
    for (col0 = 0; col0 < g.n; col0 += kBlockCols) {
      cols = smaller(kBlockCols, g.n - col0);
      for (row0 = 0; row0 < g.m; row0 += kBlockRows) {
        rows = smaller(kBlockRows, g.m - row0);
        k0 = 0;
        do {
          ks = smaller(kBlockK, steps() - k0);
          pack();
          const int64_t row_panels = pieces(rows, kRows), col_panels = pieces(cols, kCols<C>);
          const int64_t down = pieces(rows, kTileRows), across = pieces(cols, kTileCols);
          each(down * across, [&](int64_t t) {
            tile(share(t % down, down, row_panels), share(t / down, across, col_panels));
          });
          k0 += ks;
        } while (k0 < steps());
      }
    }
  }
};

template <class C>
void run_few(const Gemm& g, bool parallel) {
  const auto with = [&](auto element) {
    using T = decltype(element);
    const auto tile_done = [&](const GemmTile& t) { deliver<C>(g, t); };
    if (g.m == 1)
      multiply_few<1, C, T>(g, parallel, kSlotA, tile_done);
    else if (g.m == 2)
      multiply_few<2, C, T>(g, parallel, kSlotA, tile_done);
    else if (g.m <= 4)
      multiply_few<4, C, T>(g, parallel, kSlotA, tile_done);
    else
      multiply_few<8, C, T>(g, parallel, kSlotA, tile_done);
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

template <class M>
void run(const Gemm& g, bool parallel) {
  const int64_t work = work_of(g);
  if (parallel && g.batch > 1 && work < kSmallBatch && work * g.batch >= kSmall) {
    parallel_for(g.batch, [&](int64_t i) { Product<M>(g, false).run_matrix(i); });
  } else {
    Product<M> product(g, parallel && work >= kSmall);
    for (int64_t i = 0; i < g.batch; ++i) product.run_matrix(i);
  }
}

void choose(const Gemm& g, bool parallel) {
  if (g.m == 0 || g.n == 0) return;
  const bool is_double = g.a.dtype == DType::f64;
  if (has_few_rows(g)) {
    parallel = parallel && work_of(g) >= kSmall;
    return is_double ? run_few<double>(g, parallel) : run_few<float>(g, parallel);
  }
  if (is_double) return run<Widened<double>>(g, parallel);
#if defined(__AVX512F__)
  if (g.a.dtype == DType::bf16 && g.b.dtype == DType::bf16) {
    const Bf16Product way = bf16_product();
    if (way == Bf16Product::pairs) return run<Bf16Pairs<false>>(g, parallel);
    if (way == Bf16Product::emulated_pairs) return run<Bf16Pairs<true>>(g, parallel);
  }
#endif
  run<Widened<float>>(g, parallel);
}

}  // namespace

void gemm(const Gemm& g) { choose(g, true); }
void gemm_tile(const Gemm& g) { choose(g, false); }

}  // namespace engine::cpu::ENGINE_ISA
