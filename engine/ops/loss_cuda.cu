// Read first: loss_kernels.h, engine/cuda/team.h. A block per row: rows are as long as the vocabulary.
#include "engine/cuda/team.h"
#include "engine/ops/loss_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kThreads = 256;

// ---- cross entropy of whole logits
// --------------------------------------------------------------------------
template <class T>
__global__ void __launch_bounds__(kTeamBlock, 1) cross_entropy_kernel(CrossEntropyForward a) {
  using C = Compute<T>;
  const Team<kTeamBlock> team;
  const int32_t label = global(a.labels)[team.row];
  if (label < 0) {
    if (team.rank == 0) global(a.losses)[team.row] = 0.0;
    return;
  }
  const auto z = global(static_cast<const T*>(a.logits)) + team.row * a.stride;
  C v[1], top = -C(INFINITY);
  for (int64_t i = team.rank; i < a.classes; i += kTeamBlock) {
    load_n(z + i, v);
    top = v[0] > top ? v[0] : top;  // NaN shows in the sum
  }
  top = team.max(top);
  double sum = 0;
  for (int64_t i = team.rank; i < a.classes; i += kTeamBlock) {
    load_n(z + i, v);
    sum += double(std::exp(v[0] - top));
  }
  sum = team.sum(sum);
  if (team.rank != 0) return;
  load_n(z + label, v);
  const double rest = std::log(sum);
  global(static_cast<C*>(a.lse))[team.row] = C(double(top) + rest);
  global(a.losses)[team.row] = rest + (double(top) - double(v[0]));  // small where the label is the top
}

//   dz = dloss (exp(z - lse) - onehot(label))
template <class T, int N>
__global__ void __launch_bounds__(kThreads, 1) cross_entropy_back_kernel(CrossEntropyBackward a) {
  using C = Compute<T>;
  const Place<N> at(a.rows, a.classes);
  if (!at.inside) return;
  const auto dz = global(static_cast<T*>(a.dlogits)) + (at.row * a.dlogits_stride + at.column);
  const int32_t label = global(a.labels)[at.row];
  C v[N] = {};
  if (label < 0) {
    if (!a.accumulate) store_n(dz, v, false);
    return;
  }
  const C lse = global(static_cast<const C*>(a.lse))[at.row], factor = C(double(global(a.dloss)[0]));
  load_n(global(static_cast<const T*>(a.logits)) + (at.row * a.stride + at.column), v);
#pragma unroll
  for (int j = 0; j < N; ++j) {
    v[j] = factor * std::exp(v[j] - lse);
    if (at.column + j == label) v[j] -= factor;
  }
  store_n(dz, v, a.accumulate);
}

// ---- a chunk of the head's rows, in place
// -------------------------------------------------------------------
//   z = cap tanh((x w^T + b) / cap)        dlogits = loss_scale (softmax(z) - onehot) (1 - (z / cap)^2)
template <class C>
GPU_INLINE C capped_logit(const ScoreChunk& a, const Global<C>& row, int64_t i) {
  C z = row[i];
  if (a.bias) {
    const C bias = global(static_cast<const C*>(a.bias))[i];
    z += bias;
  }
  const C cap = C(a.softcap);
  return cap > 0 ? cap * std::tanh(z * (1 / cap)) : z;
}

// The gradient is narrower than the logits and begins where they begin. So it is written a piece at a time,
// when the whole block has read that piece: what is written then lies over pieces that are done with.
template <class T>
__global__ void __launch_bounds__(kTeamBlock, 1) score_kernel(ScoreChunk a) {
  using C = Compute<T>;
  const Team<kTeamBlock> team;
  const Global<C> row = global(static_cast<C*>(a.logits)) + team.row * a.classes;
  const int32_t label = global(a.labels)[team.row];
  if (label < 0) {  // the whole block: no row of the model's, but one that fills a recorded step's capacity
    if (team.rank == 0) global(a.losses)[team.row] = 0.0;
    const auto nothing =
        global(static_cast<T*>(a.logits)) + team.row * a.classes * int64_t(sizeof(C) / sizeof(T));
    for (int64_t i = team.rank; a.gradient && i < a.classes; i += kTeamBlock) nothing[i] = as_stored<T>(C(0));
    return;
  }
  double loss_scale = a.loss_scale;
  if (a.scale_memory) loss_scale = global(a.scale_memory)[0];
  // In one pass, because a row of logits is larger than what a block's share of the cache keeps: sums are of
  // exp(z - mine), and are brought down where a larger logit comes.
  constexpr C kLowest = -C(INFINITY);
  C mine = kLowest;
  double sum = 0;
  for (int64_t i = team.rank; i < a.vocabulary; i += kTeamBlock) {
    const C z = capped_logit(a, row, i);
    if (z > mine) {
      const C down = std::exp(mine - z);
      sum *= double(down);
      mine = z;
    }
    if (z != kLowest) sum += double(std::exp(z - mine));
  }
  const C top = team.max(mine), down = std::exp(mine - top);
  sum = team.sum(sum * double(down));
  if (team.rank == 0)
    global(a.losses)[team.row] = std::log(sum) + (double(top) - double(capped_logit(a, row, label)));
  if (!a.gradient) return;
  const auto gradient =
      global(static_cast<T*>(a.logits)) + team.row * a.classes * int64_t(sizeof(C) / sizeof(T));
  const C cap = C(a.softcap), scale = C(loss_scale);
  const double factor = loss_scale / sum;
  const auto gradient_at = [&](int64_t i) {
    if (i >= a.vocabulary) return C(0);
    const C z = capped_logit(a, row, i), slope = cap > 0 ? 1 - (z / cap) * (z / cap) : C(1);
    const C dz = C(factor * double(std::exp(z - top))) * slope;
    return i == label ? dz - scale * slope : dz;
  };
  // A thread's eight logits are read before the block meets and overwritten after it: results, at most as
  // wide, end before the next ones.
  constexpr int kAtOnce = 8;
  for (int64_t begin = team.rank; begin < a.classes + team.rank; begin += kTeamBlock * kAtOnce) {
    C dz[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) dz[j] = gradient_at(begin + j * kTeamBlock);
    __syncthreads();
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j)
      if (const int64_t i = begin + j * kTeamBlock; i < a.classes) gradient[i] = as_stored<T>(dz[j]);
  }
}

// ---- sums down columns
// --------------------------------------------------------------------------------------
struct SumShared {
  SharedArray<double, kThreads> parts;
};
template <class T>
__global__ void __launch_bounds__(kThreads, 1) column_sums_kernel(ColumnSums a) {
  using C = Compute<T>;
  constexpr int kWarps = kThreads / 32;
  auto& s = block_shared<SumShared>();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t column = int64_t(blockIdx.x) * 32 + lane;
  double sum = 0;
  if (column < a.columns) {
    const auto from = global(static_cast<const T*>(a.from));
    for (int64_t r = warp; r < a.rows; r += kWarps) {
      C v[1];
      load_n(from + (r * a.stride + column), v);
      sum += double(v[0]);
    }
  }
  s.parts[warp * 32 + lane] = sum;
  __syncthreads();
  if (warp > 0 || column >= a.columns) return;
  for (int k = 1; k < kWarps; ++k) {
    const double part = s.parts[k * 32 + lane];
    sum += part;
  }
  const C sums[1] = {C(sum)};
  store_n(global(static_cast<C*>(a.to)) + column, sums, a.accumulate);
}

// ---- squared error
// ------------------------------------------------------------------------------------------
template <class T>
__global__ void __launch_bounds__(kTeamBlock, 1) squared_kernel(SquaredErrorForward a) {
  using C = Compute<T>;
  const Team<kTeamBlock> team;
  const auto x = global(static_cast<const T*>(a.x)), target = global(static_cast<const T*>(a.target));
  const int64_t first = team.row * kSquaredErrorChunk,
                last = first + kSquaredErrorChunk < a.n ? first + kSquaredErrorChunk : a.n;
  double sum = 0;
  for (int64_t i = first + team.rank; i < last; i += kTeamBlock) {
    C v[1], t[1];
    load_n(x + i, v);
    load_n(target + i, t);
    const double d = double(v[0] - t[0]);
    sum += d * d;
  }
  sum = team.sum(sum);
  if (team.rank == 0) global(a.losses)[team.row] = sum;
}

template <class T>
__global__ void __launch_bounds__(kThreads, 1) squared_back_kernel(SquaredErrorBackward a) {
  using C = Compute<T>;
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= a.n) return;
  C v[1], t[1];
  load_n(global(static_cast<const T*>(a.x)) + i, v);
  load_n(global(static_cast<const T*>(a.target)) + i, t);
  const double dloss = global(a.dloss)[0];
  const C g[1] = {C(2 * a.sign * dloss) * (v[0] - t[0])};
  store_n(global(static_cast<T*>(a.gradient)) + i, g, a.accumulate);
}

// ---- the sum of a loss a row: one block, each thread a run of its own
__global__ void __launch_bounds__(kTeamBlock, 1) add_losses_kernel(AddLosses a) {
  const Team<kTeamBlock> team;
  const int64_t share = ceil_divide(a.n, kTeamBlock), begin = team.rank * share;
  const int64_t end = begin + share < a.n ? begin + share : a.n;
  const auto losses = global(a.losses);
  double sum = 0;
  for (int64_t i = begin; i < end; ++i) {
    const double loss = losses[i];
    sum += loss;
  }
  sum = team.sum(sum);
  if (team.rank == 0) global(a.sum)[0] = sum;
}

}  // namespace

void add_losses(const AddLosses& a) {
  launch<TeamShared>(add_losses_kernel, blocks_for(1, 1), kTeamBlock, current_stream(), a);
}

void cross_entropy_forward(const CrossEntropyForward& a) {
  if (a.rows == 0) return;
  visit_float(a.dtype, [&](auto t) {
    launch<TeamShared>(cross_entropy_kernel<decltype(t)>, blocks_for(a.rows, 1), kTeamBlock, current_stream(),
                       a);
  });
}

void cross_entropy_backward(const CrossEntropyBackward& a) {
  if (a.rows * a.classes == 0) return;
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    const bool whole =
        packs(16 / int(sizeof(T)), {a.logits, a.dlogits}, {a.classes, a.stride, a.dlogits_stride});
    visit_width<T>(whole, [&](auto width) {
      constexpr int N = decltype(width)::value;
      launch<NoShared>(cross_entropy_back_kernel<T, N>, blocks_for(a.rows * a.classes, kThreads * N),
                       kThreads, current_stream(), a);
    });
  });
}

void score_chunk(const ScoreChunk& a) {
  if (a.rows == 0) return;
  visit_float(a.dtype, [&](auto t) {
    launch<TeamShared>(score_kernel<decltype(t)>, blocks_for(a.rows, 1), kTeamBlock, current_stream(), a);
  });
}

void column_sums(const ColumnSums& a) {
  if (a.columns == 0) return;
  visit_float(a.dtype, [&](auto t) {
    launch<SumShared>(column_sums_kernel<decltype(t)>, blocks_for(a.columns, 32), kThreads, current_stream(),
                      a);
  });
}

void squared_error_forward(const SquaredErrorForward& a) {
  if (a.n == 0) return;
  visit_float(a.dtype, [&](auto t) {
    launch<TeamShared>(squared_kernel<decltype(t)>, blocks_for(a.n, kSquaredErrorChunk), kTeamBlock,
                       current_stream(), a);
  });
}

void squared_error_backward(const SquaredErrorBackward& a) {
  if (a.n == 0) return;
  visit_float(a.dtype, [&](auto t) {
    launch<NoShared>(squared_back_kernel<decltype(t)>, blocks_for(a.n, kThreads), kThreads, current_stream(),
                     a);
  });
}

}  // namespace engine::ENGINE_GPU
