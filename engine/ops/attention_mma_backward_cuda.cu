// Attention backward on tensor cores, without atomics. Read first: attention_mma_cuda.h, attention_cuda.cu
// (the formulas).
//
// Two launches. One has a block per tile of keys, which walks the queries and keeps dk and dv; the other a
// block per tile of queries, which walks the keys and keeps dq. Scores are formed twice: seven products where
// five are counted, and every sum is in a fixed order. The first forms them transposed, K Q^T, so that each
// of its products has a forward shape.
#include "engine/ops/attention_mma_cuda.h"

namespace engine::ENGINE_GPU {
namespace {

/// Rows of the tile that is walked: fewer where heads are wide, for their sums fill the registers.
template <int D, bool kExtras>
constexpr int kWalked = D <= 32               ? 64
                        : D <= 64             ? (kExtras ? 32 : 64)
                        : D <= 96 && !kExtras ? 32
                                              : 16;

template <class T, int D, bool kExtras>
struct KeysShared {
  Tile<T, D, kTileRows> k, v;
  Tile<T, D, kWalked<D, kExtras>> q, dout;
  SharedArray<float, kWalked<D, kExtras>> lse, sums;
};

template <class T>
GPU_INLINE Global<const T> dout_of(const AttentionBackward& a, int64_t batch, int64_t head) {
  const AttentionShape& s = a.shape;
  return global(static_cast<const T*>(a.dout)) + (batch * s.queries * s.heads + head) * s.n;
}

// ---- dk and dv
// ----------------------------------------------------------------------------------------------
template <class T, int D, bool kExtras>
__global__ void __launch_bounds__(kWarps * 32, 1) key_fragments_kernel(BackwardPlan plan) {
  constexpr int kQueries = kWalked<D, kExtras>;
  auto& shared = block_shared<KeysShared<T, D, kExtras>>();
  const AttentionBackward& a = plan.a;
  const AttentionShape& s = a.shape;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int64_t blocks = ceil_divide(s.keys, kTileRows), at = blockIdx.x;
  const int64_t k0 = at % blocks * kTileRows, kv_head = at / blocks % s.kv_heads,
                batch = at / blocks / s.kv_heads;
  const int64_t group = s.heads / s.kv_heads;
  const int shift = int(s.keys - s.queries);
  const int64_t first =
      s.causal && k0 > shift ? (k0 - shift) / kQueries * kQueries : 0;  // queries before see none of it
  const int64_t last = kExtras ? end_of_queries(s, k0 + kTileRows - 1) : s.queries;
  fetch(shared.k, row_of<T>(a.k, batch, 0, kv_head, D), a.k.row_stride, k0, s.keys);
  fetch(shared.v, row_of<T>(a.v, batch, 0, kv_head, D), a.v.row_stride, k0, s.keys);
  cp_async_commit();  // not left to the loop, which takes no turn where a window shows these keys to no query
  float dk[D / 8][4] = {}, dv[D / 8][4] = {};
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    const float gain = gain_of<T>(a.gain, head);
    for (int64_t q0 = first; q0 < last; q0 += kQueries) {
      __syncthreads();  // the last tile has been read by all
      fetch(shared.q, row_of<T>(a.q, batch, 0, head, D), a.q.row_stride, q0, s.queries);
      fetch(shared.dout, dout_of<T>(a, batch, head), s.heads * D, q0, s.queries);
      cp_async_commit();
      if (threadIdx.x < kQueries) {
        const int64_t query = q0 + threadIdx.x, row = (batch * s.heads + head) * s.queries + query;
        float lse = 0, sum = 0;
        if (query < s.queries) {
          lse = global(static_cast<const float*>(a.lse))[row];
          const double d = global(static_cast<const double*>(plan.sums))[row];
          sum = float(d);
        }
        shared.lse[threadIdx.x] = lse * kLog2e, shared.sums[threadIdx.x] = sum;
      }
      cp_async_wait<0>();
      __syncthreads();
      float p[kQueries / 8][4] = {}, ds[kQueries / 8][4] = {};
      rows_by_rows(p, shared.k, warp * kWarpRows, shared.q, lane);      // S^T
      rows_by_rows(ds, shared.v, warp * kWarpRows, shared.dout, lane);  // dP^T
#pragma unroll
      for (int n = 0; n < kQueries / 8; ++n)
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const int i = n * 8 + t * 2 + e % 2;
          const int key = int(k0) + warp * kWarpRows + g + e / 2 * 8, query = int(q0) + i;
          const Score<float> z = scaled_score<kExtras>(s, p[n][e]);
          const float lse = shared.lse[i], d = shared.sums[i];
          p[n][e] = exp2_fast(z.value - lse);
          if (key >= s.keys || query >= s.queries || (s.causal && key > shift + query)) p[n][e] = 0;
          float kept = gain;
          if (kExtras && p[n][e] != 0 && (s.key_mask || s.dropout > 0 || s.window > 0)) {
            const Visible v = visible_of(s, batch, head, query);
            if (!sees(s, v, key)) p[n][e] = 0;
            kept *= weight_factor<float>(s, v, key);
          }
          ds[n][e] = p[n][e] * (ds[n][e] * kept - d) * z.slope;
          p[n][e] *= kept;
        }
      weigh(dv, p, shared.dout, lane);
      weigh(dk, ds, shared.q, lane);
    }
  }
  cp_async_wait<0>();
  __syncthreads();
  const int64_t row = k0 + warp * kWarpRows;
  const auto store = [&](const AttentionGradient& to, const float(&sum)[D / 8][4], float by,
                         Tile<T, D, kTileRows>& tile) {
    if (!to.data) return;
    const float factor[2] = {by, by};
    const auto out = global(static_cast<T*>(to.data)) + (batch * s.keys * to.row_stride + kv_head * D);
    store_rows(out, to.row_stride, row, s.keys, sum, factor, to.accumulate, tile, warp * kWarpRows, lane);
  };
  store(a.dk, dk, float(s.scale), shared.k);
  store(a.dv, dv, 1, shared.v);
}

// ---- dq
// -----------------------------------------------------------------------------------------------------
template <class T, int D, bool kExtras>
struct QueriesShared {
  Tile<T, D, kTileRows> q, dout;
  Tile<T, D, kWalked<D, kExtras>> k, v;
};

template <class T, int D, bool kExtras>
__global__ void __launch_bounds__(kWarps * 32, 1) query_fragments_kernel(BackwardPlan plan) {
  constexpr int kKeys = kWalked<D, kExtras>;
  auto& shared = block_shared<QueriesShared<T, D, kExtras>>();
  const AttentionBackward& a = plan.a;
  const AttentionShape& s = a.shape;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int64_t blocks = ceil_divide(s.queries, kTileRows), at = blockIdx.x;
  const int64_t q0 = (blocks - 1 - at % blocks) * kTileRows, head = at / blocks % s.heads,
                batch = at / blocks / s.heads;
  const int64_t kv_head = head / (s.heads / s.kv_heads), shift = s.keys - s.queries;
  const Global<const T> k = row_of<T>(a.k, batch, 0, kv_head, D), v = row_of<T>(a.v, batch, 0, kv_head, D);
  const int64_t end = s.causal && shift + q0 + kTileRows < s.keys ? shift + q0 + kTileRows : s.keys;
  const int64_t begin = kExtras ? first_key_of(s, shift + q0) / kKeys * kKeys : 0;
  fetch(shared.q, row_of<T>(a.q, batch, 0, head, D), a.q.row_stride, q0, s.queries);
  fetch(shared.dout, dout_of<T>(a, batch, head), s.heads * D, q0, s.queries);
  cp_async_commit();
  Visible rows[2];
  float lse[2], sums[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int64_t query = q0 + warp * kWarpRows + g + h * 8;
    const int64_t row = (batch * s.heads + head) * s.queries + (query < s.queries ? query : s.queries - 1);
    rows[h] = visible_of(s, row);
    lse[h] = global(static_cast<const float*>(a.lse))[row];
    lse[h] *= kLog2e;
    const double d = global(static_cast<const double*>(plan.sums))[row];
    sums[h] = float(d);
  }
  const float gain = gain_of<T>(a.gain, head);
  float dgain[2] = {};
  float dq[D / 8][4] = {};
  for (int64_t k0 = begin; k0 < end; k0 += kKeys) {
    __syncthreads();  // the last tile has been read by all
    fetch(shared.k, k, a.k.row_stride, k0, s.keys);
    fetch(shared.v, v, a.v.row_stride, k0, s.keys);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    float p[kKeys / 8][4] = {}, ds[kKeys / 8][4] = {};
    rows_by_rows(p, shared.q, warp * kWarpRows, shared.k, lane);
    rows_by_rows(ds, shared.dout, warp * kWarpRows, shared.v, lane);
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const Visible& row = rows[e / 2];
        const int key = int(k0) + n * 8 + t * 2 + e % 2;
        const Score<float> z = scaled_score<kExtras>(s, p[n][e]);
        float weight = exp2_fast(z.value - lse[e / 2]), dp = ds[n][e];
        if (!sees_key<kExtras>(s, row, key))
          weight = 0;
        else if (kExtras && s.dropout > 0)
          dp *= weight_factor<float>(s, row, key);
        dgain[e / 2] += weight * dp;
        ds[n][e] = weight * (dp * gain - sums[e / 2]) * z.slope;
      }
    weigh(dq, ds, shared.k, lane);
  }
  if (plan.gains) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      for (int d = 1; d < 4; d *= 2) dgain[h] += __shfl_xor_sync(kFull, dgain[h], d);
      const int64_t query = q0 + warp * kWarpRows + g + h * 8;
      if (t == 0 && query < s.queries)
        global(plan.gains)[(batch * s.heads + head) * s.queries + query] = double(dgain[h]);
    }
  }
  if (!a.dq.data) return;
  cp_async_wait<0>();
  __syncthreads();
  const float factor[2] = {float(s.scale), float(s.scale)};
  const auto out = global(static_cast<T*>(a.dq.data)) + (batch * s.queries * a.dq.row_stride + head * D);
  store_rows(out, a.dq.row_stride, q0 + warp * kWarpRows, s.queries, dq, factor, a.dq.accumulate, shared.q,
             warp * kWarpRows, lane);
}

}  // namespace

void attention_backward_fragments(const BackwardPlan& plan) {
  const AttentionBackward& a = plan.a;
  const AttentionShape& s = a.shape;
  visit_fragments(s, [&](auto t, auto d, auto extras) {
    using T = decltype(t);
    constexpr int D = decltype(d)::value;
    constexpr bool kExtras = decltype(extras)::value;
    const int64_t key_blocks = s.batch * s.kv_heads * ceil_divide(s.keys, kTileRows),
                  query_blocks = s.batch * s.heads * ceil_divide(s.queries, kTileRows);
    if (key_blocks > 0 && (a.dk.data || a.dv.data))
      launch<KeysShared<T, D, kExtras>>(key_fragments_kernel<T, D, kExtras>, blocks_for(key_blocks, 1),
                                        kWarps * 32, current_stream(), plan);
    if (query_blocks > 0 && (a.dq.data || plan.gains))
      launch<QueriesShared<T, D, kExtras>>(query_fragments_kernel<T, D, kExtras>, blocks_for(query_blocks, 1),
                                           kWarps * 32, current_stream(), plan);
  });
}

}  // namespace engine::ENGINE_GPU
