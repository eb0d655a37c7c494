// Attention forward on tensor cores (FlashAttention-2, arXiv 2307.08691, algorithm 1). Read first:
// attention_mma_cuda.h.
//
// A block takes 64 queries of a head, a warp 16 of them, whose fragments stay in registers. Keys and values
// come 64 at a time, in two stages: while one tile is used the next is on its way. Blocks with the most keys
// go first.
#include "engine/ops/attention_mma_cuda.h"

namespace engine::ENGINE_GPU {
namespace {

/// Keys that come at a time: fewer where extras and wide heads want registers.
template <int D, bool kExtras>
constexpr int kKeys = kExtras&& D > 64 ? 32 : 64;

template <class T, int D, bool kExtras>
struct ForwardShared {
  Tile<T, D, kTileRows> q;
  Tile<T, D, kKeys<D, kExtras>> k[2], v[2];
};

/// One of the two queries of a lane: rows g and g + 8 of its warp.
struct QueryRow {
  Visible v;
  float top = kHidden, total = 0;
};

template <class T, int D, bool kExtras>
__global__ void __launch_bounds__(kWarps * 32, 1) attention_fragments_kernel(AttentionForward a) {
  constexpr int kStep = kKeys<D, kExtras>;
  auto& shared = block_shared<ForwardShared<T, D, kExtras>>();
  const AttentionShape& s = a.shape;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int64_t blocks = ceil_divide(s.queries, kTileRows), at = blockIdx.x;
  const int64_t q0 = (blocks - 1 - at % blocks) * kTileRows, head = at / blocks % s.heads,
                batch = at / blocks / s.heads;
  const int64_t kv_head = head / (s.heads / s.kv_heads), shift = s.keys - s.queries;
  const Global<const T> q = row_of<T>(a.q, batch, 0, head, D), k = row_of<T>(a.k, batch, 0, kv_head, D),
                        v = row_of<T>(a.v, batch, 0, kv_head, D);
  // Every query of the block sees the keys before `whole`, none those from `end` on.
  const int64_t whole = kExtras && (s.key_mask || s.window > 0) ? 0 : s.causal ? shift + q0 + 1 : s.keys;
  const int64_t end = s.causal && shift + q0 + kTileRows < s.keys ? shift + q0 + kTileRows : s.keys;
  const int first = kExtras ? int(first_key_of(s, shift + q0) / kStep) : 0, tiles = int(ceil_divide(end, kStep));

  fetch(shared.q, q, a.q.row_stride, q0, s.queries);
  fetch(shared.k[first % 2], k, a.k.row_stride, first * kStep, s.keys);
  fetch(shared.v[first % 2], v, a.v.row_stride, first * kStep, s.keys);
  cp_async_commit();
  QueryRow rows[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int64_t query = q0 + warp * kWarpRows + g + h * 8;
    rows[h].v =
        visible_of(s, (batch * s.heads + head) * s.queries + (query < s.queries ? query : s.queries - 1));
  }
  uint32_t left[D / 16][4];
  float sum[D / 8][4] = {};
  for (int tile = first; tile < tiles; ++tile) {
    if (tile + 1 < tiles) {
      fetch(shared.k[(tile + 1) % 2], k, a.k.row_stride, (tile + 1) * kStep, s.keys);
      fetch(shared.v[(tile + 1) % 2], v, a.v.row_stride, (tile + 1) * kStep, s.keys);
    }
    cp_async_commit();
    cp_async_wait<1>();
    __syncthreads();
    if (tile == first)
#pragma unroll
      for (int kk = 0; kk < D / 16; ++kk) load_left(left[kk], shared.q, warp * kWarpRows, kk, lane);
    float p[kStep / 8][4] = {};
#pragma unroll
    for (int kk = 0; kk < D / 16; ++kk) multiply_rows(p, left[kk], shared.k[tile % 2], kk, lane);

    const int k0 = tile * kStep;
    const bool edge = k0 + kStep > whole;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      QueryRow& row = rows[h];
      float top = row.top;
#pragma unroll
      for (int n = 0; n < kStep / 8; ++n)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& z = p[n][h * 2 + e];
          const int key = k0 + n * 8 + t * 2 + e;
          z = scaled_score<kExtras>(s, z).value;
          if (edge && !sees_key<kExtras>(s, row.v, key)) z = kHidden;
          top = z > top || z != z ? z : top;
        }
      // The four lanes of a row.
      for (int d = 1; d < 4; d *= 2) {
        const float other = __shfl_xor_sync(kFull, top, d);
        top = other > top || other != other ? other : top;
      }
      const float keep = exp2_fast(row.top - top);
      row.top = top, row.total *= keep;
#pragma unroll
      for (int n = 0; n < D / 8; ++n) sum[n][h * 2] *= keep, sum[n][h * 2 + 1] *= keep;
#pragma unroll
      for (int n = 0; n < kStep / 8; ++n)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& z = p[n][h * 2 + e];
          z = z == kHidden ? 0.0f : exp2_fast(z - top);
          row.total += z;
          if (kExtras && s.dropout > 0) z *= weight_factor<float>(s, row.v, k0 + n * 8 + t * 2 + e);
        }
    }
    weigh(sum, p, shared.v[tile % 2], lane);
    __syncthreads();  // this stage may be filled again
  }
  cp_async_wait<0>();

  const float gain = gain_of<T>(a.gain, head);
  float factor[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    QueryRow& row = rows[h];
    for (int d = 1; d < 4; d *= 2) row.total += __shfl_xor_sync(kFull, row.total, d);
    factor[h] = gain / row.total;
    const int64_t query = q0 + warp * kWarpRows + g + h * 8;
    if (query >= s.queries) continue;
    if (a.lse && t == 0)
      global(static_cast<float*>(a.lse))[(batch * s.heads + head) * s.queries + query] =
          (row.top + std::log2(row.total)) * kLn2;
    if (!a.wide) continue;
    const auto wide =
        global(static_cast<float*>(a.wide)) + ((batch * s.queries + query) * s.heads + head) * D;
#pragma unroll
    for (int n = 0; n < D / 8; ++n) {
      const float pair[2] = {sum[n][h * 2] * factor[h], sum[n][h * 2 + 1] * factor[h]};
      store_n(wide + (n * 8 + t * 2), pair, false);
    }
  }
  const auto out = global(static_cast<T*>(a.out)) + (batch * s.queries * s.heads + head) * D;
  store_rows(out, s.heads * D, q0 + warp * kWarpRows, s.queries, sum, factor, false, shared.q,
             warp * kWarpRows, lane);
}

}  // namespace

void attention_forward_fragments(const AttentionForward& a) {
  const AttentionShape& s = a.shape;
  visit_fragments(s, [&](auto t, auto d, auto extras) {
    using T = decltype(t);
    constexpr int D = decltype(d)::value;
    constexpr bool kExtras = decltype(extras)::value;
    launch<ForwardShared<T, D, kExtras>>(attention_fragments_kernel<T, D, kExtras>,
                                         blocks_for(s.batch * s.heads * ceil_divide(s.queries, kTileRows), 1),
                                         kWarps * 32, current_stream(), a);
  });
}

}  // namespace engine::ENGINE_GPU
