// Read first: rope_kernels.h, engine/cuda/vectors.h. A thread turns a pack of the first half against the same
// of the second.
#include "engine/cuda/vectors.h"
#include "engine/ops/rope_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kThreads = 256;

template <class T, int N>
__global__ void __launch_bounds__(kThreads, 1) rope_kernel(RopeArgs a) {
  using C = Compute<T>;
  const int64_t half = a.n / 2;
  const Place<N> at(a.rows * a.heads, half);
  if (!at.inside) return;
  const int64_t row = at.row / a.heads, head = at.row % a.heads * a.n + at.column,
                angle = row % a.time * half + at.column;
  const auto x = global(static_cast<const T*>(a.x)) + (row * a.x_stride + head);
  const auto y = global(static_cast<T*>(a.y)) + (row * a.y_stride + head);
  C x1[N], x2[N], c[N], s[N], y1[N], y2[N];
  load_n(x, x1);
  load_n(x + half, x2);
  load_n(global(static_cast<const C*>(a.cos)) + angle, c);
  load_n(global(static_cast<const C*>(a.sin)) + angle, s);
  const C sign = a.inverse ? C(-1) : C(1);
#pragma unroll
  for (int j = 0; j < N; ++j) {
    y1[j] = x1[j] * c[j] - sign * x2[j] * s[j];
    y2[j] = x2[j] * c[j] + sign * x1[j] * s[j];
  }
  store_n(y, y1, a.accumulate);
  store_n(y + half, y2, a.accumulate);
}

}  // namespace

void rope(const RopeArgs& a) {
  const int64_t n = a.rows * a.heads * (a.n / 2);
  if (n == 0) return;
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    const bool whole =
        packs(16 / int(sizeof(T)), {a.x, a.y, a.cos, a.sin}, {a.n / 2, a.x_stride, a.y_stride});
    visit_width<T>(whole, [&](auto width) {
      constexpr int N = decltype(width)::value;
      launch<NoShared>(rope_kernel<T, N>, blocks_for(n, kThreads * N), kThreads, current_stream(), a);
    });
  });
}

}  // namespace engine::ENGINE_GPU
