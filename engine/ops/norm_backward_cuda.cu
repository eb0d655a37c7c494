// Backward kernels of norms and joins. Read first: norm_cuda.h.
//
// A block takes the kNormRows rows of one partial sum, in two phases. First a warp per row forms the two sums
// that dx needs, and leaves four numbers of each row in shared memory. Then every thread takes columns and
// walks down the rows: dx is a function of one element and those numbers, and the parameters' gradients are
// sums down a column, in registers. So nothing is added across threads but the gradients of single numbers.
#include "engine/ops/norm_cuda.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kWarps = kTeamBlock / 32;

struct BackwardShared {
  TeamShared team;  // first: Team looks for it there
  SharedArray<double, kNormRows> mean, rstd, slope, offset;
};

template <class C, int N>
struct Input {
  C x[N], slope[N];  // act(x) and act'(x); without an activation no slope
};
template <class C, int N, bool kActivated>
GPU_INLINE Input<C, N> load_input(const NormBackward& a, int64_t at) {
  Input<C, N> in;
  load_any(a.x, a.x_dtype, at, in.x);
  if constexpr (kActivated) {
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const Activated<C> act = activated(a.activation, in.x[j]);
      in.x[j] = act.value, in.slope[j] = act.slope;
    }
  }
  return in;
}

/// The gradient of the norm's columns [i, i + N), turned back where it turned.
template <class C, class W, int N, bool kTurned>
GPU_INLINE void load_gradient(const NormBackward& a, int64_t row, int64_t group, int64_t i, W (&dy)[N]) {
  const int64_t at = (row * a.groups + group) * a.n + i;
  if constexpr (kTurned) {
    const Turn<C, N> turn(a.turn, row, i);
    C own[N], other[N];
    load_any(a.dy, a.turn.dtype, at, own);
    load_any(a.dy, a.turn.dtype, at + turn.other, other);
#pragma unroll
    for (int j = 0; j < N; ++j)
      dy[j] = W(turn.first ? own[j] * turn.cos[j] + other[j] * turn.sin[j]
                           : own[j] * turn.cos[j] - other[j] * turn.sin[j]);
  } else {
    load_any(a.dy, a.y_dtype, at, dy);
  }
}

// With g = dy gain:
//   ln        dx = r (g - mean(g) - xhat mean(g xhat)) = (r gain) dy + slope x + offset
//   rms, l2   without mean(g); l2: sum for mean
template <class C, class W, int N, bool kActivated, bool kTurned>
GPU_INLINE void row_sums(const NormBackward& a, int64_t row, int64_t group, int r, int lane) {
  auto& s = block_shared<BackwardShared>();
  const int64_t block = row * a.groups + group;
  W mean = 0;
  if (a.kind == NormKind::ln) mean = global(static_cast<const W*>(a.mean))[block];
  const W rstd = global(static_cast<const W*>(a.rstd))[block];
  W g_sum = 0, gx_sum = 0;
  for (int64_t i = lane * N; i < a.n; i += 32 * N) {
    const Input<C, N> in = load_input<C, N, kActivated>(a, row * a.x_stride + group * a.n + i);
    W dy[N], gain[N];
    load_gradient<C, W, N, kTurned>(a, row, group, i, dy);
    load_gain<C>(a.weight, a.gain_offset, i, gain);
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const W g = dy[j] * gain[j];
      g_sum += g, gx_sum += g * ((W(in.x[j]) - mean) * rstd);
    }
  }
  g_sum = warp_sum(g_sum), gx_sum = warp_sum(gx_sum);
  if (lane != 0) return;
  const double size = a.kind == NormKind::l2 ? 1 : double(a.n), wide_r = double(rstd);
  const double slope = -wide_r * wide_r * (double(gx_sum) / size);
  const double g_mean = a.kind == NormKind::ln ? double(g_sum) / size : 0;
  s.mean[r] = double(mean), s.rstd[r] = wide_r;
  s.slope[r] = slope, s.offset[r] = -wide_r * g_mean - slope * double(mean);
}

/// Sums down a column, for parameters that are vectors.
template <class W, int N>
struct ColumnSum {
  W sum[N] = {};
  GPU_INLINE void add(int j, W v) { sum[j] += v; }
  /// Into a section of the partial sums: `more` of them than the ones that stand there already.
  template <class C>
  GPU_INLINE void keep(void* section, int64_t at, bool more) const {
    if (section) store_n(global(static_cast<C*>(section)) + at, sum, more);
  }
};

// Rows [first, last) of columns [i, i + N) of a block: dnorm of each, handed to `next(row, column, dnorm)`.
template <class C, class W, int N, bool kActivated, bool kTurned, class Next>
GPU_INLINE void norm_columns(const NormBackward& a, int64_t first, int64_t last, int64_t group, int64_t i,
                             double& dalpha, Next&& next) {
  auto& s = block_shared<BackwardShared>();
  ColumnSum<W, N> dweight, dbias;
  W gain[N], alpha = 0;
  load_gain<C>(a.weight, a.gain_offset, i, gain);
  if (a.kind == NormKind::dyt) {
    const C learned = global(static_cast<const C*>(a.alpha))[0];
    alpha = W(learned);
  }
  for (int64_t row = first; row < last; ++row) {
    const int r = int(row - first);
    const Input<C, N> in = load_input<C, N, kActivated>(a, row * a.x_stride + group * a.n + i);
    W dy[N];
    load_gradient<C, W, N, kTurned>(a, row, group, i, dy);
    C dx[N];
    if (a.kind ==
        NormKind::dyt) {  // dx = alpha g (1 - t^2), t = tanh(alpha x), dalpha = sum of g (1 - t^2) x
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const W x = W(in.x[j]);
        const Activated<W> t = activated(Activation::tanh, alpha * x);
        const W g = dy[j] * gain[j] * t.slope;
        dweight.add(j, dy[j] * t.value), dbias.add(j, dy[j]);
        dalpha += double(g * x);
        dx[j] = C(g * alpha);
      }
    } else {
      const double mean = s.mean[r], rstd = s.rstd[r], slope = s.slope[r], offset = s.offset[r];
#pragma unroll
      for (int j = 0; j < N; ++j) {
        const W x = W(in.x[j]);
        dweight.add(j, dy[j] * ((x - W(mean)) * W(rstd))), dbias.add(j, dy[j]);
        dx[j] = C(dy[j] * (gain[j] * W(rstd)) + (x * W(slope) + W(offset)));
      }
    }
    if constexpr (kActivated) {
#pragma unroll
      for (int j = 0; j < N; ++j) dx[j] *= in.slope[j];
    }
    next(row, group * a.n + i, dx);
  }
  const int64_t chunk = first / kNormRows * a.partial_stride;
  dweight.template keep<C>(a.dweight, chunk + i, group > 0);
  dbias.template keep<C>(a.dbias, chunk + i, group > 0);
}

// With v = dnorm + djoined:
//   dstream = res v        do = branch m v        dres = sum of v stream        dbranch = sum of v m o
template <class C, class W, int N>
struct JoinColumns {
  const JoinBackward& a;
  C res[N], branch[N];
  ColumnSum<W, N> dres, dbranch;
  double res_sum = 0, branch_sum = 0;  // of factors that are one number

  GPU_INLINE explicit JoinColumns(const JoinBackward& args) : a(args) {}
  GPU_INLINE void begin(int64_t column) {
    load_factor(a.res, column, res);
    load_factor(a.branch, column, branch);
#pragma unroll
    for (int j = 0; j < N; ++j) dres.sum[j] = dbranch.sum[j] = 0;
  }
  /// `v` is dnorm, or zeros.
  GPU_INLINE void row(int64_t row, int64_t column, C (&v)[N]) {
    C other[N];
    if (a.djoined) {
      load_any(a.djoined, a.stream_dtype, row * a.width + column, other);
#pragma unroll
      for (int j = 0; j < N; ++j) v[j] += other[j];
    }
    if (a.dstream) {
#pragma unroll
      for (int j = 0; j < N; ++j) other[j] = res[j] * v[j];
      store_any(a.dstream, a.stream_dtype, row * a.dstream_stride + column, other, a.accumulate_dstream);
    }
    if (a.dres) {
      load_any(a.stream, a.stream_dtype, row * a.stream_stride + column, other);
#pragma unroll
      for (int j = 0; j < N; ++j)
        dres.add(j, W(v[j]) * W(other[j])), res_sum += double(v[j]) * double(other[j]);
    }
    apply_mask(a.dropout, row * a.width + column, v);
    if (a.d_o) {
#pragma unroll
      for (int j = 0; j < N; ++j) other[j] = branch[j] * v[j];
      store_any(a.d_o, a.o_dtype, row * a.do_stride + column, other, a.accumulate_do);
    }
    if (a.dbranch) {
      load_any(a.o, a.o_dtype, row * a.o_stride + column, other);
#pragma unroll
      for (int j = 0; j < N; ++j)
        dbranch.add(j, W(v[j]) * W(other[j])), branch_sum += double(v[j]) * double(other[j]);
    }
  }
  GPU_INLINE void end(int64_t chunk, int64_t column) const {
    if (a.res.vector) dres.template keep<C>(a.dres, chunk * a.partial_stride + column, false);
    if (a.branch.vector) dbranch.template keep<C>(a.dbranch, chunk * a.partial_stride + column, false);
  }
};

// The sum over the block of what its threads have of one number's gradient.
template <class C>
GPU_INLINE void keep_number(void* section, int64_t at, double sum) {
  const Team<kTeamBlock> team;
  const double all = team.sum(sum);
  if (team.rank == 0) global(static_cast<C*>(section))[at] = C(all);
}
template <class C, class Join>
GPU_INLINE void keep_numbers(const JoinBackward& a, int64_t chunk, const Join& join) {
  if (a.dres && !a.res.vector) keep_number<C>(a.dres, chunk * a.partial_stride, join.res_sum);
  if (a.dbranch && !a.branch.vector) keep_number<C>(a.dbranch, chunk * a.partial_stride, join.branch_sum);
}

// Both phases for every block of the rows of this chunk; next(row, column, dnorm) takes what comes out,
// between begin(column) and end(column).
template <class C, class W, int N, bool kActivated, bool kTurned, class Begin, class Next, class End>
GPU_INLINE void norm_chunk(const NormBackward& a, Begin&& begin, Next&& next, End&& end) {
  const int64_t chunk = blockIdx.x, first = chunk * kNormRows;
  const int64_t last = first + kNormRows < a.rows ? first + kNormRows : a.rows;
  double dalpha = 0;
  for (int64_t group = 0; group < a.groups; ++group) {
    if (a.kind != NormKind::dyt)
      for (int64_t row = first + threadIdx.x / 32; row < last; row += kWarps)
        row_sums<C, W, N, kActivated, kTurned>(a, row, group, int(row - first), threadIdx.x % 32);
    __syncthreads();
    for (int64_t i = threadIdx.x * N; i < a.n; i += kTeamBlock * N) {
      begin(group * a.n + i);
      norm_columns<C, W, N, kActivated, kTurned>(a, first, last, group, i, dalpha, next);
      end(group * a.n + i);
    }
    __syncthreads();
  }
  if (a.dalpha) keep_number<C>(a.dalpha, chunk * a.partial_stride, dalpha);
}

template <class C, class W, int N, bool kActivated, bool kTurned = false>
__global__ void __launch_bounds__(kTeamBlock, 1) norm_back_kernel(NormBackward a) {
  norm_chunk<C, W, N, kActivated, kTurned>(
      a, [](int64_t) {},
      [&](int64_t row, int64_t column, C(&dx)[N]) {
        if (a.dx) store_any(a.dx, a.x_dtype, row * a.dx_stride + column, dx, a.accumulate_dx);
      },
      [](int64_t) {});
}

template <class C, class W, int N>
__global__ void __launch_bounds__(kTeamBlock, 1) join_norm_back_kernel(JoinNormBackward a) {
  const int64_t chunk = blockIdx.x;
  JoinColumns<C, W, N> join(a.join);
  norm_chunk<C, W, N, false, false>(
      a.norm, [&](int64_t column) { join.begin(column); },
      [&](int64_t row, int64_t column, C(&v)[N]) { join.row(row, column, v); },
      [&](int64_t column) { join.end(chunk, column); });
  keep_numbers<C>(a.join, chunk, join);
}

template <class C, int N>
__global__ void __launch_bounds__(kTeamBlock, 1) join_back_kernel(JoinBackward a) {
  const int64_t chunk = blockIdx.x, first = chunk * kNormRows;
  const int64_t last = first + kNormRows < a.rows ? first + kNormRows : a.rows;
  JoinColumns<C, C, N> join(a);
  for (int64_t i = threadIdx.x * N; i < a.width; i += kTeamBlock * N) {
    join.begin(i);
    for (int64_t row = first; row < last; ++row) {
      C v[N] = {};
      join.row(row, i, v);
    }
    join.end(chunk, i);
  }
  keep_numbers<C>(a, chunk, join);
}

// 32 columns a block; eight warps share the chunks, and the first adds up what the eight have.
struct SumShared {
  SharedArray<double, kTeamBlock> parts;
};
template <class C>
__global__ void __launch_bounds__(kTeamBlock, 1) sum_partials_kernel(SumPartials a) {
  auto& s = block_shared<SumShared>();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t column = int64_t(blockIdx.x) * 32 + lane;
  double sum = 0;
  if (column < a.n) {
    const auto partials = global(static_cast<const C*>(a.partials));
    for (int64_t chunk = warp; chunk < a.chunks; chunk += kWarps) {
      const C part = partials[chunk * a.stride + column];
      sum += double(part);
    }
  }
  s.parts[warp * 32 + lane] = sum;
  __syncthreads();
  if (warp > 0 || column >= a.n) return;
  for (int k = 1; k < kWarps; ++k) {
    const double part = s.parts[k * 32 + lane];
    sum += part;
  }
  store_any(a.sum, a.dtype, column, C(sum), a.accumulate);
}

dim3 chunk_blocks(int64_t rows) { return blocks_for(rows, kNormRows); }

}  // namespace

void norm_backward(const NormBackward& a) {
  if (a.rows == 0) return;
  visit_norm_types(a.x_dtype, a.y_dtype, [&](auto c, auto w) {
    using C = decltype(c);
    using W = decltype(w);
    const auto run = [&](auto kernel) {
      launch<BackwardShared>(kernel, chunk_blocks(a.rows), kTeamBlock, current_stream(), a);
    };
    if constexpr (std::is_same_v<W, double>)
      if (a.turn.cos)
        return whole_packs(a) ? run(norm_back_kernel<C, W, kNormPack, false, true>)
                              : run(norm_back_kernel<C, W, 1, false, true>);
    // Activations need registers of their own: with them a thread takes two elements.
    if (a.activation != Activation::identity)
      whole_packs(a) ? run(norm_back_kernel<C, W, 2, true>) : run(norm_back_kernel<C, W, 1, true>);
    else
      whole_packs(a) ? run(norm_back_kernel<C, W, kNormPack, false>) : run(norm_back_kernel<C, W, 1, false>);
  });
}

void join_backward(const JoinBackward& a) {
  if (a.rows == 0) return;
  const auto with = [&](auto c) {
    visit_norm_width(whole_packs(a), [&](auto width) {
      launch<TeamShared>(join_back_kernel<decltype(c), decltype(width)::value>, chunk_blocks(a.rows),
                         kTeamBlock, current_stream(), a);
    });
  };
  a.stream_dtype == DType::f64 ? with(double()) : with(float());
}

void join_norm_backward(const JoinNormBackward& a) {
  if (a.join.rows == 0) return;
  visit_norm_types(a.norm.x_dtype, a.norm.y_dtype, [&](auto c, auto w) {
    visit_norm_width(whole_packs(a.join) && whole_packs(a.norm), [&](auto width) {
      launch<BackwardShared>(join_norm_back_kernel<decltype(c), decltype(w), decltype(width)::value>,
                             chunk_blocks(a.join.rows), kTeamBlock, current_stream(), a);
    });
  });
}

void sum_partials(const SumPartials& a) {
  if (a.n == 0) return;
  launch<SumShared>(a.partial_dtype == DType::f64 ? sum_partials_kernel<double> : sum_partials_kernel<float>,
                    blocks_for(a.n, 32), kTeamBlock, current_stream(), a);
}

}  // namespace engine::ENGINE_GPU
