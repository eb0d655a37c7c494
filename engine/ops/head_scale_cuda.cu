// Read first: head_scale_kernels.h, engine/cuda/team.h.
#include "engine/cuda/team.h"
#include "engine/ops/head_scale_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kThreads = 256;

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 1) head_scale_kernel(HeadScaleForward a) {
  using C = Compute<T>;
  const Place<N> at(a.rows * a.heads, a.n);
  if (!at.inside) return;
  const int64_t row = at.row / a.heads, head = at.row % a.heads;
  const C gain = global(static_cast<const C*>(a.gain))[head];
  C v[N];
  load_n(global(static_cast<const T*>(a.x)) + (row * a.x_stride + head * a.n + at.column), v);
#pragma unroll
  for (int j = 0; j < N; ++j) v[j] *= gain;
  store_n(global(static_cast<T*>(a.y)) + (at.row * a.n + at.column), v, false);
}

// A block takes one head of kHeadScaleRows rows: writes its dx and one partial sum of dgain.
template <class T, int N>
__global__ void __launch_bounds__(kTeamBlock, 1) head_scale_back_kernel(HeadScaleBackward a) {
  using C = Compute<T>;
  const Team<kTeamBlock> team;
  const int64_t chunk = team.row / a.heads, head = team.row % a.heads, first = chunk * kHeadScaleRows;
  const int64_t rows = a.rows - first < kHeadScaleRows ? a.rows - first : kHeadScaleRows;
  const C gain = global(static_cast<const C*>(a.gain))[head];
  C sum = 0;
  for (int64_t i = team.rank * N; i < rows * a.n; i += kTeamBlock * N) {
    const int64_t row = first + i / a.n, column = head * a.n + i % a.n;
    C g[N];
    load_n(global(static_cast<const T*>(a.dy)) + (row * a.heads * a.n + column), g);
    if (a.dgain) {
      C x[N];
      load_n(global(static_cast<const T*>(a.x)) + (row * a.x_stride + column), x);
#pragma unroll
      for (int j = 0; j < N; ++j) sum += g[j] * x[j];
    }
    if (!a.dx) continue;
#pragma unroll
    for (int j = 0; j < N; ++j) g[j] *= gain;
    store_n(global(static_cast<T*>(a.dx)) + (row * a.dx_stride + column), g, a.accumulate_dx);
  }
  if (!a.dgain) return;
  sum = team.sum(sum);
  if (team.rank == 0) global(static_cast<C*>(a.partials))[team.row] = sum;
}

// A thread per head adds the chunks in order.
template <class C>
__global__ void __launch_bounds__(32, 1) add_gains_kernel(HeadScaleBackward a) {
  const int64_t head = int64_t(blockIdx.x) * 32 + threadIdx.x;
  if (head >= a.heads) return;
  const auto partials = global(static_cast<const C*>(a.partials));
  const auto dgain = global(static_cast<C*>(a.dgain));
  const int64_t chunks = a.n > 0 ? ceil_divide(a.rows, kHeadScaleRows) : 0;  // heads of no width have no sums
  C sum = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += partials[chunk * a.heads + head];
  const C sums[1] = {sum};
  store_n(dgain + head, sums, a.accumulate_dgain);
}

}  // namespace

void head_scale_forward(const HeadScaleForward& a) {
  if (a.rows * a.heads * a.n == 0) return;
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    visit_width<T>(packs(16 / int(sizeof(T)), {a.x, a.y}, {a.n, a.x_stride}), [&](auto width) {
      constexpr int N = decltype(width)::value;
      launch<NoShared>(head_scale_kernel<T, N>, blocks_for(a.rows * a.heads * a.n, kThreads * N), kThreads,
                       current_stream(), a);
    });
  });
}

void head_scale_backward(const HeadScaleBackward& a) {
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    if (a.rows * a.heads * a.n > 0)
      visit_width<T>(packs(16 / int(sizeof(T)), {a.x, a.dy, a.dx}, {a.n, a.x_stride, a.dx_stride}),
                     [&](auto width) {
                       constexpr int N = decltype(width)::value;
                       launch<TeamShared>(head_scale_back_kernel<T, N>,
                                          blocks_for(ceil_divide(a.rows, kHeadScaleRows) * a.heads, 1),
                                          kTeamBlock, current_stream(), a);
                     });
    if (a.dgain && a.heads > 0)
      launch<NoShared>(add_gains_kernel<Compute<T>>, blocks_for(a.heads, 32), 32, current_stream(), a);
  });
}

}  // namespace engine::ENGINE_GPU
