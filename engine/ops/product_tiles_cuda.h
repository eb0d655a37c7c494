// How a block forms a tile of sums, c[i, j] = sum over p of a[i, p] b[j, p]: by multiply-adds, for any size
// and dtype, or on tensor cores. Read first: engine/cuda/tiles.h. Included by kernel files.
#pragma once

#include "engine/cuda/tiles.h"

namespace engine::ENGINE_GPU {

/// An operand [outer, inner]: element (i, p) at i stride + p where the inner axis is the contiguous one
/// ("along"), else at p stride + i. What lies at `outer` or `inner` and beyond counts as zero.
template <class T>
struct Side {
  Global<const T> x;
  int64_t stride, outer, inner;
};

/// Tiles of 32 x 32: thread (row, column) of 8 x 32 has the sums of rows row + 8 j, all of its column.
template <class T>
struct MultiplyAdds {
  using Element = T;
  using C = Compute<T>;
  static constexpr int kThreads = 256, kBlocks = 1, kTile = 32, kSums = kTile * kTile / kThreads;
  static constexpr int kRow = kTile + 1;  // of a tile in shared memory: no two of a column in one bank
  template <bool, bool>
  struct Shared {
    SharedArray<C, kTile * kRow> a, b;
  };
  static GPU_INLINE int row(int j) { return int(threadIdx.x) / kTile + j * (kThreads / kTile); }
  static GPU_INLINE int column() { return int(threadIdx.x) % kTile; }

  /// Neighbouring threads read neighbouring elements.
  template <bool kAlong>
  static GPU_INLINE void fetch(SharedArray<C, kTile * kRow>& to, const Side<T>& side, int64_t first,
                               int64_t p) {
#pragma unroll
    for (int j = 0; j < kSums; ++j) {
      const int i = kAlong ? row(j) : column(), q = kAlong ? column() : row(j);
      const int64_t outer = first + i, inner = p + q;
      C value = 0;
      if (outer < side.outer && inner < side.inner) {
        const T stored = side.x[kAlong ? outer * side.stride + inner : inner * side.stride + outer];
        value = as_compute(stored);
      }
      to[i * kRow + q] = value;
    }
  }

  /// The tile at (i0, j0), summed from `first` on; store(i, j, values) for every sum inside.
  template <bool kAlongA, bool kAlongB, class F>
  static GPU_INLINE void form(Shared<kAlongA, kAlongB>& s, const Side<T>& a, int64_t i0, const Side<T>& b,
                              int64_t j0, int64_t first, F&& store) {
    C sum[kSums] = {};
    for (int64_t p = first; p < a.inner; p += kTile) {
      fetch<kAlongA>(s.a, a, i0, p);
      fetch<kAlongB>(s.b, b, j0, p);
      __syncthreads();
      for (int q = 0; q < kTile; ++q) {
        const C y = s.b[column() * kRow + q];
#pragma unroll
        for (int j = 0; j < kSums; ++j) {
          const C x = s.a[row(j) * kRow + q];
          sum[j] += x * y;
        }
      }
      __syncthreads();
    }
#pragma unroll
    for (int j = 0; j < kSums; ++j) {
      const C value[1] = {sum[j]};
      if (i0 + row(j) < a.outer && j0 + column() < b.outer) store(i0 + row(j), j0 + column(), value);
    }
  }
};

/// Tiles of 128 x 128 in 16 bits, 64 x 32 of them a warp. Operands come 32 inner steps at a time, by
/// asynchronous copies that run two ahead. Needs whole chunks of 8: aligned bases, strides and contiguous
/// axes.
template <class T>
struct TensorCores {
  using Element = T;
  static constexpr int kThreads = 256, kTile = 128, kStep = 32, kStages = 3;
  static constexpr int kBlocks = 2;                // of a multiprocessor: 128 registers are enough
  static constexpr int kRows = 64, kColumns = 32;  // of a warp
  template <bool kAlong>
  using Part = std::conditional_t<kAlong, Tile<T, kStep, kTile>, Tile<T, kTile, kStep>>;
  template <bool kAlongA, bool kAlongB>
  struct Shared {
    Part<kAlongA> a[kStages];
    Part<kAlongB> b[kStages];
  };

  template <bool kAlong>
  static GPU_INLINE void fetch(Part<kAlong>& to, const Side<T>& side, int64_t first, int64_t p) {
    constexpr int D = kAlong ? kStep : kTile;
#pragma unroll
    for (int i = 0; i < kTile * kStep / 8 / kThreads; ++i) {
      const int e = i * kThreads + int(threadIdx.x), r = e / (D / 8), c = e % (D / 8);
      const int64_t outer = first + (kAlong ? r : c * 8), inner = p + (kAlong ? c * 8 : r);
      const bool inside = outer < side.outer && inner < side.inner;
      cp_async_16(to.x.at(place<D>(r, c)),
                  side.x + (!inside  ? 0
                            : kAlong ? outer * side.stride + inner
                                     : inner * side.stride + outer),
                  inside);
    }
  }
  /// Rows [row, row + 16) as the left operand, inner steps [16 kk, 16 kk + 16).
  template <bool kAlong>
  static GPU_INLINE void load_left(uint32_t (&f)[4], Part<kAlong>& a, int row, int kk, int lane) {
    if constexpr (kAlong)
      ldmatrix_x4(f, a.x.at(place<kStep>(row + (lane & 15), kk * 2 + (lane >> 4))));
    else
      ldmatrix_x4_trans(
          f, a.x.at(place<kTile>(kk * 16 + (lane & 7) + ((lane >> 4) << 3), row / 8 + ((lane >> 3) & 1))));
  }
  /// Columns [column, column + 16) as two right operands, {f[0], f[1]} and {f[2], f[3]}.
  template <bool kAlong>
  static GPU_INLINE void load_right(uint32_t (&f)[4], Part<kAlong>& b, int column, int kk, int lane) {
    if constexpr (kAlong)
      ldmatrix_x4(f,
                  b.x.at(place<kStep>(column + (lane & 7) + ((lane >> 4) << 3), kk * 2 + ((lane >> 3) & 1))));
    else
      ldmatrix_x4_trans(f, b.x.at(place<kTile>(kk * 16 + (lane & 15), column / 8 + (lane >> 4))));
  }

  /// As MultiplyAdds::form(); sums come in pairs of neighbours.
  template <bool kAlongA, bool kAlongB, class F>
  static GPU_INLINE void form(Shared<kAlongA, kAlongB>& s, const Side<T>& a, int64_t i0, const Side<T>& b,
                              int64_t j0, int64_t first, F&& store) {
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
    const int row = warp / (kTile / kColumns) * kRows, column = warp % (kTile / kColumns) * kColumns;
    const auto begin = [&](int64_t step) {
      const int64_t p = first + step * kStep;
      if (p < a.inner) {
        fetch<kAlongA>(s.a[step % kStages], a, i0, p);
        fetch<kAlongB>(s.b[step % kStages], b, j0, p);
      }
      cp_async_commit();
    };
    for (int step = 0; step < kStages - 1; ++step) begin(step);
    float sum[kRows / 16][kColumns / 8][4] = {};
    for (int64_t step = 0; first + step * kStep < a.inner; ++step) {
      cp_async_wait<kStages - 2>();
      __syncthreads();  // all have this part, and are done with the one that is overwritten now
      begin(step + kStages - 1);
      auto& part_a = s.a[step % kStages];
      auto& part_b = s.b[step % kStages];
#pragma unroll
      for (int kk = 0; kk < kStep / 16; ++kk) {
        uint32_t left[kRows / 16][4];
#pragma unroll
        for (int m = 0; m < kRows / 16; ++m) load_left<kAlongA>(left[m], part_a, row + m * 16, kk, lane);
#pragma unroll
        for (int n = 0; n < kColumns / 16; ++n) {
          uint32_t right[4];
          load_right<kAlongB>(right, part_b, column + n * 16, kk, lane);
#pragma unroll
          for (int m = 0; m < kRows / 16; ++m) {
            mma_16816<T>(sum[m][2 * n], left[m], right[0], right[1]);
            mma_16816<T>(sum[m][2 * n + 1], left[m], right[2], right[3]);
          }
        }
      }
    }
    cp_async_wait<0>();
#pragma unroll
    for (int m = 0; m < kRows / 16; ++m)
#pragma unroll
      for (int n = 0; n < kColumns / 8; ++n)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const int64_t i = i0 + row + m * 16 + h * 8 + lane / 4, j = j0 + column + n * 8 + lane % 4 * 2;
          const float pair[2] = {sum[m][n][h * 2], sum[m][n][h * 2 + 1]};
          if (i < a.outer && j < b.outer) store(i, j, pair);
        }
  }
};

}  // namespace engine::ENGINE_GPU
