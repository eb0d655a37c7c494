// Forward kernels of norms and joins. Read first: norm_cuda.h, engine/cuda/team.h.
#include "engine/ops/norm_cuda.h"

namespace engine::ENGINE_GPU {
namespace {

// ---- one team per row: joined = res stream + branch m o
// -----------------------------------------------------
template <class C, int N, int kTeam>
GPU_INLINE void join_row(const JoinForward& a, int64_t row, int rank) {
  for (int64_t i = rank * N; i < a.width; i += kTeam * N) {
    C stream[N], o[N], res[N], branch[N];
    load_any(a.stream, a.stream_dtype, row * a.stream_stride + i, stream);
    load_any(a.o, a.o_dtype, row * a.o_stride + i, o);
    apply_mask(a.dropout, row * a.width + i, o);
    load_factor(a.res, i, res);
    load_factor(a.branch, i, branch);
#pragma unroll
    for (int j = 0; j < N; ++j) stream[j] = res[j] * stream[j] + branch[j] * o[j];
    store_any(a.joined, a.stream_dtype, row * a.width + i, stream, false);
  }
}

template <class C, int N, int kTeam>
__global__ void __launch_bounds__(kTeamBlock, 1) join_kernel(JoinForward a) {
  const Team<kTeam> team;
  if (team.row < a.rows) join_row<C, N, kTeam>(a, team.row, team.rank);
}

// ---- one team per block of a row: the norm
// ------------------------------------------------------------------
/// Elements [i, i + N) of the block that begins at `at`, activated.
template <class C, class W, int N>
GPU_INLINE void load_input(const NormForward& a, int64_t at, W (&x)[N]) {
  C v[N];
  load_any(a.x, a.x_dtype, at, v);
#pragma unroll
  for (int j = 0; j < N; ++j)
    x[j] = W(a.activation == Activation::identity ? v[j] : activated(a.activation, v[j]).value);
}

// y = (x - mean) rstd gain + bias, or tanh(alpha x) gain + bias. `n` is 0 for a team without a block.
template <class C, class W, int N, int kTeam, bool kTurned>
GPU_INLINE void norm_block(const NormForward& a, const Team<kTeam>& team, int64_t block, int64_t n) {
  const int64_t from = block / a.groups * a.x_stride + block % a.groups * a.n, to = block * a.n;
  W mean = 0, factor = 0;
  if (a.kind == NormKind::dyt) {
    const C alpha = global(static_cast<const C*>(a.alpha))[0];
    factor = W(alpha);
  } else {
    W x[N];
    if (a.kind == NormKind::ln) {
      W sum = 0;
      for (int64_t i = team.rank * N; i < n; i += kTeam * N) {
        load_input<C>(a, from + i, x);
#pragma unroll
        for (int j = 0; j < N; ++j) sum += x[j];
      }
      mean = team.sum(sum) / W(a.n);
    }
    W squares = 0;
    for (int64_t i = team.rank * N; i < n; i += kTeam * N) {
      load_input<C>(a, from + i, x);
#pragma unroll
      for (int j = 0; j < N; ++j) squares += (x[j] - mean) * (x[j] - mean);
    }
    squares = team.sum(squares);
    factor =
        W(1 / std::sqrt((a.kind == NormKind::l2 ? double(squares) : double(squares) / double(a.n)) + a.eps));
    if (n && team.rank == 0) {
      if (a.mean) global(static_cast<W*>(a.mean))[block] = mean;
      if (a.rstd) global(static_cast<W*>(a.rstd))[block] = factor;
    }
  }
  const auto normed = [&](int64_t i, W(&x)[N]) {
    W gain[N], bias[N] = {};
    load_input<C>(a, from + i, x);
    load_gain<C>(a.weight, a.gain_offset, i, gain);
    if (a.bias) load_n(global(static_cast<const C*>(a.bias)) + i, bias);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const W xhat = a.kind == NormKind::dyt ? W(std::tanh(factor * x[j])) : (x[j] - mean) * factor;
      x[j] = xhat * gain[j] + bias[j];
    }
  };
  for (int64_t i = team.rank * N; i < n; i += kTeam * N) {
    W x[N];
    normed(i, x);
    if constexpr (kTurned) {
      const Turn<C, N> turn(a.turn, block / a.groups, i);
      W other[N];
      normed(i + turn.other, other);
      C y[N];
#pragma unroll
      for (int j = 0; j < N; ++j)
        y[j] = turn.first ? C(x[j]) * turn.cos[j] - C(other[j]) * turn.sin[j]
                          : C(x[j]) * turn.cos[j] + C(other[j]) * turn.sin[j];
      store_any(a.y, a.turn.dtype, to + i, y, false);
    } else {
      store_any(a.y, a.y_dtype, to + i, x, false);
    }
  }
}

template <class C, class W, int N, int kTeam, bool kTurned>
__global__ void __launch_bounds__(kTeamBlock, 1) norm_kernel(NormForward a) {
  const Team<kTeam> team;
  const bool here = team.row < a.rows * a.groups;
  norm_block<C, W, N, kTeam, kTurned>(a, team, here ? team.row : 0, here ? a.n : 0);
}

// Both in one pass over memory: what a thread reads of the joined row is what it wrote, still in the cache.
template <class C, class W, int N, int kTeam>
__global__ void __launch_bounds__(kTeamBlock, 1) join_norm_kernel(JoinNormForward a) {
  const Team<kTeam> team;
  const bool here = team.row < a.join.rows;
  if (here) join_row<C, N, kTeam>(a.join, team.row, team.rank);
  norm_block<C, W, N, kTeam, false>(a.norm, team, here ? team.row : 0, here ? a.norm.n : 0);
}

}  // namespace

void norm_forward(const NormForward& a) {
  if (a.rows == 0) return;
  visit_norm_types(a.x_dtype, a.y_dtype, [&](auto c, auto w) {
    visit_norm_width(whole_packs(a), [&](auto width) {
      visit_team(a.n, [&](auto team) {
        using C = decltype(c);
        using W = decltype(w);
        constexpr int N = decltype(width)::value, kTeam = decltype(team)::value;
        const auto run = [&](auto kernel) {
          launch<TeamShared>(kernel, team_blocks(kTeam, a.rows * a.groups), kTeamBlock, current_stream(), a);
        };
        if constexpr (std::is_same_v<W, double>)  // what turns is written in the compute dtype, so never in
                                                  // 16 bits
          if (a.turn.cos) return run(norm_kernel<C, W, N, kTeam, true>);
        run(norm_kernel<C, W, N, kTeam, false>);
      });
    });
  });
}

void join_forward(const JoinForward& a) {
  if (a.rows == 0) return;
  const auto with = [&](auto c) {
    visit_norm_width(whole_packs(a), [&](auto width) {
      visit_team(a.width, [&](auto team) {
        constexpr int kTeam = decltype(team)::value;
        launch<NoShared>(join_kernel<decltype(c), decltype(width)::value, kTeam>, team_blocks(kTeam, a.rows),
                         kTeamBlock, current_stream(), a);
      });
    });
  };
  a.stream_dtype == DType::f64 ? with(double()) : with(float());
}

void join_norm_forward(const JoinNormForward& a) {
  if (a.join.rows == 0) return;
  if (a.norm.groups > 1) {  // a team cannot hold several blocks of a row
    join_forward(a.join);
    return norm_forward(a.norm);
  }
  visit_norm_types(a.norm.x_dtype, a.norm.y_dtype, [&](auto c, auto w) {
    visit_norm_width(whole_packs(a.join) && whole_packs(a.norm), [&](auto width) {
      visit_team(a.norm.n, [&](auto team) {
        constexpr int kTeam = decltype(team)::value;
        launch<TeamShared>(join_norm_kernel<decltype(c), decltype(w), decltype(width)::value, kTeam>,
                           team_blocks(kTeam, a.join.rows), kTeamBlock, current_stream(), a);
      });
    });
  });
}

}  // namespace engine::ENGINE_GPU
