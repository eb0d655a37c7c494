// Read first: rows_kernels.h, engine/cuda/team.h.
#include "engine/cuda/team.h"
#include "engine/ops/rows_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kThreads = 256;
constexpr int kPack = 4;  // elements a thread takes where rows are whole packs

template <class C>
GPU_INLINE C factor_of(const void* weights, int64_t i, double scale) {
  if (!weights) return C(scale);
  const C weight = global(static_cast<const C*>(weights))[i];
  return weight * C(scale);
}

template <class C, int N>
__global__ void __launch_bounds__(kThreads, 1) gather_kernel(GatherRows a) {
  const Place<N> at(a.n, a.d);
  if (!at.inside) return;
  const int64_t id = global(a.ids)[at.row];
  const C factor = factor_of<C>(a.weights, at.row, a.scale);
  C v[N];
  load_any(a.table, a.table_dtype, id * a.d + at.column, v);
#pragma unroll
  for (int j = 0; j < N; ++j) v[j] *= factor;
  store_any(a.y, a.y_dtype, at.row * a.d + at.column, v, a.accumulate);
}

// A thread adds its columns of all entries of a row of y, in their order.
template <class C, int N>
__global__ void __launch_bounds__(kThreads, 1) scatter_kernel(ScatterRows a) {
  const Place<N> at(a.rows, a.d);
  if (!at.inside) return;
  const int32_t begin = global(a.starts)[at.row], end = global(a.starts)[at.row + 1];
  if (begin == end && a.accumulate) return;
  const auto order = global(a.order);
  C sum[N] = {};
  for (int32_t k = begin; k < end; ++k) {
    const int64_t i = order[k];
    const C factor = factor_of<C>(a.weights, i, a.scale);
    C v[N];
    load_any(a.x, a.x_dtype, i * a.d + at.column, v);
#pragma unroll
    for (int j = 0; j < N; ++j) sum[j] += factor * v[j];
  }
  store_any(a.y, a.y_dtype, at.row * a.d + at.column, sum, a.accumulate);
}

template <class C>
__global__ void __launch_bounds__(kTeamBlock, 1) dot_kernel(DotRows a) {
  const Team<32> team;
  const bool here = team.row < a.n;
  const int64_t n = here ? a.d : 0, row = here ? team.row : 0;
  const int64_t id = global(a.ids)[row];
  C sum = 0;
  for (int64_t i = team.rank; i < n; i += 32)
    sum += load_any<C>(a.x, a.dtype, row * a.d + i) * load_any<C>(a.table, a.dtype, id * a.d + i);
  sum = team.sum(sum);
  if (here && team.rank == 0) store_any(a.y, a.y_dtype, row, sum, a.accumulate);
}

// A block an id: it counts the smaller ones, which come before its own, and then lists its own in order. Every
// block reads all ids, so this is for few rows (experts); a batch's ids are sorted where it is made.
struct SortShared {
  SharedArray<int32_t, kThreads> smaller, equal;
};
__global__ void __launch_bounds__(kThreads, 1) sort_kernel(SortRows a) {
  auto& s = block_shared<SortShared>();
  const int32_t v = int32_t(blockIdx.x), rank = int32_t(threadIdx.x);
  const auto ids = global(a.ids);
  const int64_t share = ceil_divide(a.n, kThreads), begin = rank * share < a.n ? rank * share : a.n;
  const int64_t end = begin + share < a.n ? begin + share : a.n;
  int32_t smaller = 0, equal = 0;
  for (int64_t i = begin; i < end; ++i) {
    const int32_t id = ids[i];
    smaller += id < v, equal += id == v;
  }
  s.smaller[rank] = smaller, s.equal[rank] = equal;
  __syncthreads();
  int32_t at = 0;  // where this thread's part of the list begins
  for (int32_t k = 0; k < kThreads; ++k) {
    const int32_t before = s.smaller[k], same = s.equal[k];
    at += before + (k < rank ? same : 0);
  }
  if (rank == 0) global(a.starts)[v] = at;
  const auto order = global(a.order);
  for (int64_t i = begin; i < end; ++i) {
    const int32_t id = ids[i];
    if (id == v) order[at++] = int32_t(i);
  }
  if (v + 1 == int32_t(a.rows) && rank == kThreads - 1) global(a.starts)[a.rows] = at;
}

// f(C, integral_constant N)
template <class F>
void visit_rows(DType compute, bool packed, F&& f) {
  const auto with = [&](auto c) {
    packed ? f(c, std::integral_constant<int, kPack>()) : f(c, std::integral_constant<int, 1>());
  };
  compute == DType::f64 ? with(double()) : with(float());
}

}  // namespace

void sort_rows(const SortRows& a) {
  if (a.rows == 0) return;
  launch<SortShared>(sort_kernel, blocks_for(a.rows, 1), kThreads, current_stream(), a);
}

void gather_rows(const GatherRows& a) {
  if (a.n * a.d == 0) return;
  visit_rows(a.y_dtype, packs(kPack, {a.table, a.y}, {a.d}), [&](auto c, auto width) {
    constexpr int N = decltype(width)::value;
    launch<NoShared>(gather_kernel<decltype(c), N>, blocks_for(a.n * a.d, kThreads * N), kThreads,
                     current_stream(), a);
  });
}

void scatter_rows(const ScatterRows& a) {
  if (a.rows * a.d == 0) return;
  visit_rows(a.y_dtype, packs(kPack, {a.x, a.y}, {a.d}), [&](auto c, auto width) {
    constexpr int N = decltype(width)::value;
    launch<NoShared>(scatter_kernel<decltype(c), N>, blocks_for(a.rows * a.d, kThreads * N), kThreads,
                     current_stream(), a);
  });
}

void dot_rows(const DotRows& a) {
  if (a.n == 0) return;
  launch<TeamShared>(a.dtype == DType::f64 ? dot_kernel<double> : dot_kernel<float>, team_blocks(32, a.n),
                     kTeamBlock, current_stream(), a);
}

}  // namespace engine::ENGINE_GPU
