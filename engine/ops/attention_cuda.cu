// Attention by plain arithmetic: for every dtype and every size of a head. (Tensor cores take bf16 and f16 in
// whole fragments.) Read first: attention_kernels.h, attention_cuda.h.
//
// A warp takes one query, or one key. It meets the others 32 at a time: each lane forms one score, then all
// lanes add the 32 rows to sums that are spread over them by channel: lane c holds channels c, c + 32, ...
#include "engine/ops/attention_mma_cuda.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kMostChannels = 512;

/// A row of n channels spread over the lanes of a warp.
template <class C, int kParts>
struct LaneRow {
  C part[kParts] = {};

  /// += factor x
  template <class T>
  GPU_INLINE void add(C factor, const Global<const T>& x, int64_t n, int lane) {
#pragma unroll
    for (int k = 0; k < kParts; ++k)
      if (lane + 32 * k < n) {
        C v[1];
        load_n(x + (lane + 32 * k), v);
        part[k] += factor * v[0];
      }
  }
  GPU_INLINE void scale(C factor) {
#pragma unroll
    for (int k = 0; k < kParts; ++k) part[k] *= factor;
  }
  template <class T>
  GPU_INLINE void store(const Global<T>& y, int64_t n, int lane, bool accumulate) const {
#pragma unroll
    for (int k = 0; k < kParts; ++k)
      if (lane + 32 * k < n) {
        const C v[1] = {part[k]};
        store_n(y + (lane + 32 * k), v, accumulate);
      }
  }
};

// ---- forward
// ------------------------------------------------------------------------------------------------
template <class T, class C, int kParts>
__global__ void __launch_bounds__(kTeamBlock, 1) attention_kernel(AttentionForward a) {
  const AttentionShape& s = a.shape;
  const Team<32> team;
  if (team.row >= s.batch * s.heads * s.queries) return;
  const Visible v = visible_of(s, team.row);
  const int64_t kv_head = v.head / (s.heads / s.kv_heads);
  const Global<const T> q = row_of<T>(a.q, v.batch, v.query, v.head, s.n);
  LaneRow<C, kParts> sum;
  C top = -C(INFINITY), total = 0;
  for (int first = v.begin / 32 * 32; first < v.end; first += 32) {
    const int key = first + team.rank;
    C score = -C(INFINITY);
    if (key < v.end && sees(s, v, key))
      score = capped(s, C(s.scale) * dot_of<C>(q, row_of<T>(a.k, v.batch, key, kv_head, s.n), s.n)).value;
    const C above = warp_max(score), next = above > top || above != above ? above : top;
    if (next == -C(INFINITY)) continue;  // nothing seen so far
    const C rescale = std::exp(top - next), p = std::exp(score - next);
    total = total * rescale + warp_sum(p), top = next;
    C weight = p;
    if (key < v.end) weight *= weight_factor<C>(s, v, key);
    sum.scale(rescale);
    const int keys = v.end - first < 32 ? v.end - first : 32;
    for (int j = 0; j < keys; ++j)
      sum.add(__shfl_sync(kFull, weight, j), row_of<T>(a.v, v.batch, first + j, kv_head, s.n), s.n,
              team.rank);
  }
  sum.scale(C(gain_of<T>(a.gain, v.head)) / total);
  const int64_t at = ((v.batch * s.queries + v.query) * s.heads + v.head) * s.n;
  sum.store(global(static_cast<T*>(a.out)) + at, s.n, team.rank, false);
  if (a.wide) sum.store(global(static_cast<C*>(a.wide)) + at, s.n, team.rank, false);
  if (a.lse && team.rank == 0) global(static_cast<C*>(a.lse))[team.row] = top + std::log(total);
}

// ---- backward
// -----------------------------------------------------------------------------------------------
//   p = exp(s - lse)   dp = (dO v^T) z   D = sum_c dO o   ds = p (dp - D) cap'(s)     z: dropout factors
//   dv += (p z)^T dO   dk += scale ds^T q   dq = scale ds k
// With a gain g of the head, dO stands for g times what comes down; dg = sum of p z (what comes down v^T).
template <class C>
struct Weight {
  C p, dp, slope, kept, plain;  // kept: p z g; plain: dp without the gain
};
/// The weight of a query for a key that it sees, and the gradient that reaches it.
template <class T, class C>
GPU_INLINE Weight<C> weight_of(const AttentionBackward& a, const Visible& v, int key, C lse) {
  const AttentionShape& s = a.shape;
  const int64_t kv_head = v.head / (s.heads / s.kv_heads);
  const int64_t at = ((v.batch * s.queries + v.query) * s.heads + v.head) * s.n;
  const Score<C> score = capped(s, C(s.scale) * dot_of<C>(row_of<T>(a.q, v.batch, v.query, v.head, s.n),
                                                          row_of<T>(a.k, v.batch, key, kv_head, s.n), s.n));
  const C dp =
      dot_of<C>(global(static_cast<const T*>(a.dout)) + at, row_of<T>(a.v, v.batch, key, kv_head, s.n), s.n);
  const C p = std::exp(score.value - lse), z = weight_factor<C>(s, v, key), g = gain_of<T>(a.gain, v.head);
  return {p, dp * z * g, score.slope, p * z * g, dp * z};
}
template <class C>
GPU_INLINE C lse_of(const AttentionBackward& a, int64_t row) {
  return global(static_cast<const C*>(a.lse))[row];
}

// D of each query. Where one block of keys holds the whole row it is sum of p dp / sum of p: the same number,
// but the row's ds then cancels to the last bit, though p, from a rounded log-sum-exp, does not quite add up
// to one. (Not where tensor cores round the weights to 16 bits anyway: lanes that walk keys read them badly.)
template <class T, class C>
__global__ void __launch_bounds__(kTeamBlock, 1) row_sums_kernel(BackwardPlan plan) {
  const AttentionBackward& a = plan.a;
  const AttentionShape& s = a.shape;
  const Team<32> team;
  if (team.row >= s.batch * s.heads * s.queries) return;
  const Visible v = visible_of(s, team.row);
  double sum = 0, total = 0;
  if (plan.exact && v.end - v.begin <= kAttentionKeys) {
    const C lse = lse_of<C>(a, team.row);
    for (int key = v.begin / 32 * 32 + team.rank; key < v.end; key += 32)
      if (sees(s, v, key)) {
        const Weight<C> w = weight_of<T>(a, v, key, lse);
        total += double(w.p), sum += double(w.p) * double(w.dp);
      }
    sum = warp_sum(sum), total = warp_sum(total);
    sum /= total;
  } else {
    const int64_t at = ((v.batch * s.queries + v.query) * s.heads + v.head) * s.n;
    const auto dout = global(static_cast<const T*>(a.dout)) + at;
    const auto o = global(static_cast<const C*>(a.out)) + at;
    for (int64_t c = team.rank; c < s.n; c += 32) {
      C x[1], y[1];
      load_n(dout + c, x);
      load_n(o + c, y);
      sum += double(x[0]) * double(y[0]);
    }
    sum = warp_sum(sum);
  }
  if (team.rank == 0) global(plan.sums)[team.row] = sum;
}

template <class C>
GPU_INLINE C score_gradient(const Weight<C>& w, double d) {
  return w.p * C(double(w.dp) - d) * w.slope;
}

// dq of each query, and its part of its head's dg.
template <class T, class C, int kParts>
__global__ void __launch_bounds__(kTeamBlock, 1) query_gradients_kernel(BackwardPlan plan) {
  const AttentionBackward& a = plan.a;
  const AttentionShape& s = a.shape;
  const Team<32> team;
  if (team.row >= s.batch * s.heads * s.queries) return;
  const Visible v = visible_of(s, team.row);
  const int64_t kv_head = v.head / (s.heads / s.kv_heads);
  const C lse = lse_of<C>(a, team.row);
  const double d = global(static_cast<const double*>(plan.sums))[team.row];
  LaneRow<C, kParts> sum;
  double dgain = 0;
  for (int first = v.begin / 32 * 32; first < v.end; first += 32) {
    const int key = first + team.rank;
    C ds = 0;
    if (key < v.end && sees(s, v, key)) {
      const Weight<C> w = weight_of<T>(a, v, key, lse);
      ds = score_gradient(w, d), dgain += double(w.p) * double(w.plain);
    }
    const int keys = v.end - first < 32 ? v.end - first : 32;
    for (int j = 0; j < keys; ++j)
      sum.add(__shfl_sync(kFull, ds, j), row_of<T>(a.k, v.batch, first + j, kv_head, s.n), s.n, team.rank);
  }
  if (plan.gains) {
    dgain = warp_sum(dgain);
    if (team.rank == 0) global(plan.gains)[team.row] = dgain;
  }
  if (!a.dq.data) return;
  sum.scale(C(s.scale));
  sum.store(
      global(static_cast<T*>(a.dq.data)) + ((v.batch * s.queries + v.query) * a.dq.row_stride + v.head * s.n),
      s.n, team.rank, a.dq.accumulate);
}

// dk and dv of each key, over the queries of all heads that share it, in order.
template <class T, class C, int kParts>
__global__ void __launch_bounds__(kTeamBlock, 1) key_gradients_kernel(BackwardPlan plan) {
  const AttentionBackward& a = plan.a;
  const AttentionShape& s = a.shape;
  const Team<32> team;
  if (team.row >= s.batch * s.kv_heads * s.keys) return;
  const int key = int(team.row % s.keys);
  const int64_t kv_head = team.row / s.keys % s.kv_heads, batch = team.row / s.keys / s.kv_heads;
  const int64_t group = s.heads / s.kv_heads,
                first_query = s.causal && key > s.keys - s.queries ? key - s.keys + s.queries : 0;
  const int64_t end_query = end_of_queries(s, key);
  LaneRow<C, kParts> dk, dv;
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head)
    for (int64_t first = first_query / 32 * 32; first < end_query; first += 32) {
      const int64_t queries = s.queries - first < 32 ? s.queries - first : 32;
      C ds = 0, kept = 0;
      if (team.rank < queries) {
        const int64_t row = (batch * s.heads + head) * s.queries + first + team.rank;
        const Visible v = visible_of(s, row);
        if (key < v.end && sees(s, v, key)) {
          const Weight<C> w = weight_of<T>(a, v, key, lse_of<C>(a, row));
          const double d = global(static_cast<const double*>(plan.sums))[row];
          ds = score_gradient(w, d), kept = w.kept;
        }
      }
      for (int j = 0; j < queries; ++j) {
        const int64_t at = ((batch * s.queries + first + j) * s.heads + head) * s.n;
        const C g = __shfl_sync(kFull, ds, j), p = __shfl_sync(kFull, kept, j);
        dk.add(g, row_of<T>(a.q, batch, first + j, head, s.n), s.n, team.rank);
        dv.add(p, global(static_cast<const T*>(a.dout)) + at, s.n, team.rank);
      }
    }
  dk.scale(C(s.scale));
  const auto store = [&](const AttentionGradient& g, const LaneRow<C, kParts>& sum) {
    if (!g.data) return;
    const auto to = global(static_cast<T*>(g.data)) + ((batch * s.keys + key) * g.row_stride + kv_head * s.n);
    sum.store(to, s.n, team.rank, g.accumulate);
  };
  store(a.dk, dk);
  store(a.dv, dv);
}

// dg of each head: its rows' parts, added in one order.
template <class T>
__global__ void __launch_bounds__(kTeamBlock, 1) gain_gradients_kernel(BackwardPlan plan) {
  const AttentionBackward& a = plan.a;
  const AttentionShape& s = a.shape;
  const Team<kTeamBlock> team;
  const int64_t head = team.row;
  double sum = 0;
  for (int64_t i = team.rank; i < s.batch * s.queries; i += kTeamBlock) {
    const double part = global(plan.gains)[(i / s.queries * s.heads + head) * s.queries + i % s.queries];
    sum += part;
  }
  const Compute<T> all[1] = {Compute<T>(team.sum(sum))};
  if (team.rank == 0) store_n(global(static_cast<Compute<T>*>(a.dgain)) + head, all, a.accumulate_dgain);
}

// ---- on the host
// --------------------------------------------------------------------------------------------
/// f(T, C, integral_constant kParts) for the stored dtype, the computed one, and heads of up to 32 kParts
/// channels.
template <class F>
void visit_shape(const AttentionShape& s, F&& f) {
  check(s.n <= kMostChannels, "cuda: attention takes heads of up to ", kMostChannels, " channels, got ", s.n);
  const auto with = [&](auto t, auto c) {
    if (s.n <= 64) return f(t, c, std::integral_constant<int, 2>());
    if (s.n <= 128) return f(t, c, std::integral_constant<int, 4>());
    return f(t, c, std::integral_constant<int, kMostChannels / 32>());
  };
  visit_float(s.dtype, [&](auto t) {
    if constexpr (std::is_same_v<decltype(t), float>)
      if (s.compute == DType::f64) return with(t, double());
    with(t, Compute<decltype(t)>());
  });
}

}  // namespace

void attention_forward(const AttentionForward& a) {
  const AttentionShape& s = a.shape;
  const int64_t rows = s.batch * s.heads * s.queries;
  if (rows == 0) return;
  if (takes_fragments(s, {a.q, a.k, a.v})) return attention_forward_fragments(a);
  visit_shape(s, [&](auto t, auto c, auto parts) {
    launch<NoShared>(attention_kernel<decltype(t), decltype(c), decltype(parts)::value>,
                     team_blocks(32, rows), kTeamBlock, current_stream(), a);
  });
}

void attention_backward(const AttentionBackward& a) {
  const AttentionShape& s = a.shape;
  const int64_t rows = s.batch * s.heads * s.queries, keys = s.batch * s.kv_heads * s.keys;
  if (rows == 0 && keys == 0) return;
  const Scratch sums(size_t(rows) * sizeof(double)), gains(a.dgain ? size_t(rows) * sizeof(double) : 0);
  const bool fragments =
      takes_fragments(s, {a.q, a.k, a.v}) && packs(8, {a.dout, a.dq.data, a.dk.data, a.dv.data},
                                                   {a.dq.row_stride, a.dk.row_stride, a.dv.row_stride});
  const BackwardPlan plan{a, sums.as<double>(), a.dgain ? gains.as<double>() : nullptr, !fragments};
  visit_shape(s, [&](auto t, auto c, auto parts) {
    using T = decltype(t);
    using C = decltype(c);
    constexpr int kParts = decltype(parts)::value;
    const auto run = [&](auto kernel, int64_t n) {
      if (n > 0) launch<NoShared>(kernel, team_blocks(32, n), kTeamBlock, current_stream(), plan);
    };
    run(row_sums_kernel<T, C>, rows);
    if (fragments) {
      attention_backward_fragments(plan);
    } else {
      if (a.dq.data || a.dgain) run(query_gradients_kernel<T, C, kParts>, rows);
      if (a.dk.data || a.dv.data) run(key_gradients_kernel<T, C, kParts>, keys);
    }
    if (a.dgain)
      launch<TeamShared>(gain_gradients_kernel<T>, team_blocks(kTeamBlock, s.heads), kTeamBlock,
                         current_stream(), plan);
  });
}

}  // namespace engine::ENGINE_GPU
