// Tiles and fragments of attention on tensor cores. Read first: attention_cuda.h, engine/cuda/tiles.h.
//
// A tile is some rows of a head. A warp owns 16 rows of one tile; it meets another tile row by row
// (rows_by_rows: scores) or adds up its rows by weights (weigh: outputs). Accumulators of a product are laid
// out as the left operand of the next one, so weights go from one to the other in registers.
#pragma once

#include "engine/cuda/tiles.h"
#include "engine/ops/attention_cuda.h"

namespace engine::ENGINE_GPU {

constexpr int kWarpRows = 16;                  // of a warp: the rows of an mma
constexpr int kWarps = 4;                      // of a block
constexpr int kTileRows = kWarps * kWarpRows;  // of the tile that a block owns
constexpr float kLog2e = 1.4426950408889634f, kLn2 = 0.6931471805599453f;
constexpr float kHidden = -1e30f;  // the score of a key that a query does not see

/// Begins to copy rows [first, first + kRows) of a head; rows beyond `rows` become zeros.
template <class T, int D, int kRows>
GPU_INLINE void fetch(Tile<T, D, kRows>& to, const Global<const T>& from, int64_t row_stride, int64_t first,
                      int64_t rows) {
  constexpr int kThreads = kWarps * 32, kChunks = kRows * D / 8;
#pragma unroll
  for (int i = 0; i < (kChunks + kThreads - 1) / kThreads; ++i) {
    const int e = i * kThreads + int(threadIdx.x), r = e / (D / 8), c = e % (D / 8);
    if (kChunks % kThreads != 0 && e >= kChunks) break;
    const bool valid = first + r < rows;
    cp_async_16(to.x.at(place<D>(r, c)), from + (valid ? (first + r) * row_stride + c * 8 : 0), valid);
  }
}

/// The left operand: 16 rows of a tile from `row` on, channels [16 kk, 16 kk + 16).
template <class T, int D, int kRows>
GPU_INLINE void load_left(uint32_t (&f)[4], Tile<T, D, kRows>& a, int row, int kk, int lane) {
  ldmatrix_x4(f, a.x.at(place<D>(row + (lane & 15), kk * 2 + (lane >> 4))));
}
/// out [16, kRows] += left [16, 16] b[:, 16 kk ..]^T
template <class T, int D, int kRows>
GPU_INLINE void multiply_rows(float (&out)[kRows / 8][4], const uint32_t (&left)[4], Tile<T, D, kRows>& b,
                              int kk, int lane) {
#pragma unroll
  for (int j = 0; j < kRows / 16; ++j) {
    uint32_t f[4];
    ldmatrix_x4(f, b.x.at(place<D>(j * 16 + (lane & 7) + ((lane >> 4) << 3), kk * 2 + ((lane >> 3) & 1))));
    mma_16816<T>(out[2 * j], left, f[0], f[1]);
    mma_16816<T>(out[2 * j + 1], left, f[2], f[3]);
  }
}
/// out [16, kRows] += 16 rows of `a` from `row` on times the rows of `b`
template <class T, int D, int kOwn, int kRows>
GPU_INLINE void rows_by_rows(float (&out)[kRows / 8][4], Tile<T, D, kOwn>& a, int row, Tile<T, D, kRows>& b,
                             int lane) {
#pragma unroll
  for (int kk = 0; kk < D / 16; ++kk) {
    uint32_t f[4];
    load_left(f, a, row, kk, lane);
    multiply_rows(out, f, b, kk, lane);
  }
}
/// sum [16, D] += weights [16, kRows] x [kRows, D]
template <class T, int D, int kRows>
GPU_INLINE void weigh(float (&sum)[D / 8][4], const float (&weights)[kRows / 8][4], Tile<T, D, kRows>& x,
                      int lane) {
#pragma unroll
  for (int kk = 0; kk < kRows / 16; ++kk) {
    const auto& left = weights[2 * kk];
    const auto& right = weights[2 * kk + 1];
    const uint32_t f[4] = {pack_pair<T>(left[0], left[1]), pack_pair<T>(left[2], left[3]),
                           pack_pair<T>(right[0], right[1]), pack_pair<T>(right[2], right[3])};
#pragma unroll
    for (int j = 0; j < D / 16; ++j) {
      uint32_t g[4];
      ldmatrix_x4_trans(g, x.x.at(place<D>(kk * 16 + (lane & 15), j * 2 + (lane >> 4))));
      mma_16816<T>(sum[2 * j], f, g[0], g[1]);
      mma_16816<T>(sum[2 * j + 1], f, g[2], g[3]);
    }
  }
}

/// The warp's 16 rows of a sum, each times its factor, to rows [row, row + 16) of `out` as far as `rows` go.
/// Through the warp's own rows of a tile that nobody needs any more, so that whole sectors are written; a sum
/// that is added to what stands there goes straight, and is rounded once.
template <class T, int D, int kRows>
GPU_INLINE void store_rows(const Global<T>& out, int64_t row_stride, int64_t row, int64_t rows,
                           const float (&sum)[D / 8][4], const float (&factor)[2], bool accumulate,
                           Tile<T, D, kRows>& tile, int tile_row, int lane) {
  const int g = lane / 4, t = lane % 4;
  if (accumulate) {
#pragma unroll
    for (int h = 0; h < 2; ++h)
      if (row + g + h * 8 < rows)
#pragma unroll
        for (int n = 0; n < D / 8; ++n) {
          const float v[2] = {sum[n][h * 2] * factor[h], sum[n][h * 2 + 1] * factor[h]};
          store_n(out + ((row + g + h * 8) * row_stride + n * 8 + t * 2), v, true);
        }
    return;
  }
  __syncwarp();
#pragma unroll
  for (int h = 0; h < 2; ++h)
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      const Pack<T, 2> pair{
          {as_stored<T>(sum[n][h * 2] * factor[h]), as_stored<T>(sum[n][h * 2 + 1] * factor[h])}};
      store_pack(tile.x.at(place<D>(tile_row + g + h * 8, n) + t * 2), pair);
    }
  __syncwarp();
#pragma unroll
  for (int i = 0; i < kWarpRows * D / 8 / 32; ++i) {
    const int e = i * 32 + lane, r = e / (D / 8), c = e % (D / 8);
    if (row + r < rows) {
      const Pack16<T> pack = load_pack<Pack16<T>>(tile.x.at(place<D>(tile_row + r, c)));
      store_pack(out + ((row + r) * row_stride + c * 8), pack);
    }
  }
}

/// A score in units of log 2, as exp2 wants it, and the derivative of the cap. (Caps, masks, windows and
/// dropout are extras: kernels without them keep their registers for more blocks.)
template <bool kExtras>
GPU_INLINE Score<float> scaled_score(const AttentionShape& s, float product) {
  if (!kExtras || s.softcap <= 0) return {product * (float(s.scale) * kLog2e), 1};
  const Score<float> c = capped(s, product * float(s.scale));
  return {c.value * kLog2e, c.slope};
}
inline bool has_extras(const AttentionShape& s) {
  return s.softcap > 0 || s.key_mask || s.dropout > 0 || s.window > 0;
}

/// Whether a query sees a key.
template <bool kExtras>
GPU_INLINE bool sees_key(const AttentionShape& s, const Visible& v, int key) {
  return key < v.end && (!kExtras || sees(s, v, key));
}

/// Which kernels take a call: those of this header heads of 32, 64, 96 or 128 channels in 16 bits, in whole
/// chunks.
inline bool takes_fragments(const AttentionShape& s, std::initializer_list<AttentionRows> inputs) {
  if (s.dtype != DType::bf16 && s.dtype != DType::f16) return false;
  if (s.n != 32 && s.n != 64 && s.n != 96 && s.n != 128) return false;
  for (const AttentionRows& rows : inputs)
    if (!packs(8, {rows.data}, {rows.batch_stride, rows.row_stride})) return false;
  return true;
}
/// f(T, integral_constant D, bool_constant kExtras)
template <class F>
void visit_fragments(const AttentionShape& s, F&& f) {
  const auto with = [&](auto t, auto extras) {
    switch (s.n) {
      case 32: return f(t, std::integral_constant<int, 32>(), extras);
      case 64: return f(t, std::integral_constant<int, 64>(), extras);
      case 96: return f(t, std::integral_constant<int, 96>(), extras);
      default: return f(t, std::integral_constant<int, 128>(), extras);
    }
  };
  const auto of_dtype = [&](auto extras) {
    s.dtype == DType::bf16 ? with(bf16(), extras) : with(f16(), extras);
  };
  has_extras(s) ? of_dtype(std::true_type()) : of_dtype(std::false_type());
}

struct BackwardPlan {
  AttentionBackward a;
  double* sums;   // [batch, heads, queries]: D
  double* gains;  // the same: what each query adds to the gradient of its head's gain; null: not wanted
  bool exact;     // where a row fits into one block of keys: D from its own weights
};

void attention_forward_fragments(const AttentionForward& a);
/// `plan.sums` are formed already.
void attention_backward_fragments(const BackwardPlan& plan);

}  // namespace engine::ENGINE_GPU
