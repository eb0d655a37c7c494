// Read first: activation_kernels.h, activation_cuda.h. A thread takes an element, or a pack of them.
#include "engine/cuda/vectors.h"
#include "engine/ops/activation_cuda.h"
#include "engine/ops/activation_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kThreads = 256;

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 1) activate_kernel(ActivateForward a) {
  const Place<N> at(a.rows, a.n);
  if (!at.inside) return;
  Compute<T> v[N];
  load_n(global(static_cast<const T*>(a.x)) + (at.row * a.x_stride + at.column), v);
#pragma unroll
  for (int j = 0; j < N; ++j) v[j] = activated(a.activation, v[j]).value;
  store_n(global(static_cast<T*>(a.y)) + (at.row * a.n + at.column), v, false);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 1) activate_back_kernel(ActivateBackward a) {
  const Place<N> at(a.rows, a.n);
  if (!at.inside) return;
  Compute<T> x[N], g[N];
  load_n(global(static_cast<const T*>(a.x)) + (at.row * a.x_stride + at.column), x);
  load_n(global(static_cast<const T*>(a.dy)) + (at.row * a.n + at.column), g);
#pragma unroll
  for (int j = 0; j < N; ++j) g[j] *= activated(a.activation, x[j]).slope;
  store_n(global(static_cast<T*>(a.dx)) + (at.row * a.dx_stride + at.column), g, a.accumulate);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 1) glu_kernel(GluForward a) {
  const Place<N> at(a.rows, a.n);
  if (!at.inside) return;
  Compute<T> gate[N], up[N];
  load_n(global(static_cast<const T*>(a.gate)) + (at.row * a.gate_stride + at.column), gate);
  load_n(global(static_cast<const T*>(a.up)) + (at.row * a.up_stride + at.column), up);
#pragma unroll
  for (int j = 0; j < N; ++j) up[j] *= activated(a.activation, gate[j]).value;
  store_n(global(static_cast<T*>(a.y)) + (at.row * a.n + at.column), up, false);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 1) glu_back_kernel(GluBackward a) {
  using C = Compute<T>;
  const Place<N> at(a.rows, a.n);
  if (!at.inside) return;
  C gate[N], up[N], dy[N], dgate[N], dup[N];
  load_n(global(static_cast<const T*>(a.gate)) + (at.row * a.gate_stride + at.column), gate);
  load_n(global(static_cast<const T*>(a.up)) + (at.row * a.up_stride + at.column), up);
  load_n(global(static_cast<const T*>(a.dy)) + (at.row * a.n + at.column), dy);
#pragma unroll
  for (int j = 0; j < N; ++j) {
    const Activated<C> act = activated(a.activation, gate[j]);
    dgate[j] = dy[j] * up[j] * act.slope;
    dup[j] = dy[j] * act.value;
  }
  if (a.dgate)
    store_n(global(static_cast<T*>(a.dgate)) + (at.row * a.dgate_stride + at.column), dgate,
            a.accumulate_dgate);
  if (a.dup)
    store_n(global(static_cast<T*>(a.dup)) + (at.row * a.dup_stride + at.column), dup, a.accumulate_dup);
}

}  // namespace

void activate_forward(const ActivateForward& a) {
  if (a.rows * a.n == 0) return;
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    visit_width<T>(packs(16 / int(sizeof(T)), {a.x, a.y}, {a.n, a.x_stride}), [&](auto width) {
      constexpr int N = decltype(width)::value;
      launch<NoShared>(activate_kernel<T, N>, blocks_for(a.rows * a.n, kThreads * N), kThreads,
                       current_stream(), a);
    });
  });
}

void activate_backward(const ActivateBackward& a) {
  if (a.rows * a.n == 0) return;
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    visit_width<T>(packs(16 / int(sizeof(T)), {a.x, a.dy, a.dx}, {a.n, a.x_stride, a.dx_stride}),
                   [&](auto width) {
                     constexpr int N = decltype(width)::value;
                     launch<NoShared>(activate_back_kernel<T, N>, blocks_for(a.rows * a.n, kThreads * N),
                                      kThreads, current_stream(), a);
                   });
  });
}

void glu_forward(const GluForward& a) {
  if (a.rows * a.n == 0) return;
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    visit_width<T>(packs(16 / int(sizeof(T)), {a.gate, a.up, a.y}, {a.n, a.gate_stride, a.up_stride}),
                   [&](auto width) {
                     constexpr int N = decltype(width)::value;
                     launch<NoShared>(glu_kernel<T, N>, blocks_for(a.rows * a.n, kThreads * N), kThreads,
                                      current_stream(), a);
                   });
  });
}

void glu_backward(const GluBackward& a) {
  if (a.rows * a.n == 0) return;
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    const bool whole = packs(16 / int(sizeof(T)), {a.gate, a.up, a.dy, a.dgate, a.dup},
                             {a.n, a.gate_stride, a.up_stride, a.dgate_stride, a.dup_stride});
    visit_width<T>(whole, [&](auto width) {
      constexpr int N = decltype(width)::value;
      launch<NoShared>(glu_back_kernel<T, N>, blocks_for(a.rows * a.n, kThreads * N), kThreads,
                       current_stream(), a);
    });
  });
}

}  // namespace engine::ENGINE_GPU
