// Read first: softmax_kernels.h, engine/cuda/team.h. A team walks its row three times: the largest element,
// the sum of the exponentials, the results. Only the first walk goes to memory: the row is in the caches
// then.
#include "engine/cuda/team.h"
#include "engine/ops/softmax_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

template <class T, int N, int kTeam>
__global__ void __launch_bounds__(kTeamBlock, 1) softmax_kernel(SoftmaxForward a) {
  using C = Compute<T>;
  const Team<kTeam> team;
  const int64_t n = team.row < a.rows ? a.n : 0, row = n ? team.row : 0;
  const auto x = global(static_cast<const T*>(a.x)) + row * a.x_stride;
  const auto y = global(static_cast<T*>(a.y)) + row * a.n;
  C v[N], top = -C(INFINITY), sum = 0;
  for (int64_t i = team.rank * N; i < n; i += kTeam * N) {
    load_n(x + i, v);
#pragma unroll
    for (int j = 0; j < N; ++j) top = v[j] > top ? v[j] : top;  // NaN shows in the sum
  }
  top = team.max(top);
  for (int64_t i = team.rank * N; i < n; i += kTeam * N) {
    load_n(x + i, v);
#pragma unroll
    for (int j = 0; j < N; ++j) sum += std::exp(v[j] - top);
  }
  sum = team.sum(sum);
  const C shift = std::log(sum), factor = 1 / sum;
  for (int64_t i = team.rank * N; i < n; i += kTeam * N) {
    load_n(x + i, v);
#pragma unroll
    for (int j = 0; j < N; ++j) v[j] = a.log ? v[j] - top - shift : std::exp(v[j] - top) * factor;
    store_n(y + i, v, false);
  }
}

//   dx = y (dy - sum of dy y)        log: dx = dy - e^y sum of dy
template <class T, int N, int kTeam>
__global__ void __launch_bounds__(kTeamBlock, 1) softmax_back_kernel(SoftmaxBackward a) {
  using C = Compute<T>;
  const Team<kTeam> team;
  const int64_t n = team.row < a.rows ? a.n : 0, row = n ? team.row : 0;
  const auto y = global(static_cast<const T*>(a.y)) + row * a.n,
             dy = global(static_cast<const T*>(a.dy)) + row * a.n;
  const auto dx = global(static_cast<T*>(a.dx)) + row * a.dx_stride;
  C p[N], g[N], total = 0;
  for (int64_t i = team.rank * N; i < n; i += kTeam * N) {
    load_n(y + i, p);
    load_n(dy + i, g);
#pragma unroll
    for (int j = 0; j < N; ++j) total += a.log ? g[j] : g[j] * p[j];
  }
  total = team.sum(total);
  for (int64_t i = team.rank * N; i < n; i += kTeam * N) {
    load_n(y + i, p);
    load_n(dy + i, g);
#pragma unroll
    for (int j = 0; j < N; ++j) g[j] = a.log ? g[j] - std::exp(p[j]) * total : p[j] * (g[j] - total);
    store_n(dx + i, g, a.accumulate);
  }
}

}  // namespace

void softmax_forward(const SoftmaxForward& a) {
  if (a.rows == 0) return;
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    visit_width<T>(packs(16 / int(sizeof(T)), {a.x, a.y}, {a.n, a.x_stride}), [&](auto width) {
      visit_team(a.n, [&](auto team) {
        constexpr int N = decltype(width)::value, kTeam = decltype(team)::value;
        launch<TeamShared>(softmax_kernel<T, N, kTeam>, team_blocks(kTeam, a.rows), kTeamBlock,
                           current_stream(), a);
      });
    });
  });
}

void softmax_backward(const SoftmaxBackward& a) {
  if (a.rows == 0) return;
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    visit_width<T>(packs(16 / int(sizeof(T)), {a.y, a.dy, a.dx}, {a.n, a.dx_stride}), [&](auto width) {
      visit_team(a.n, [&](auto team) {
        constexpr int N = decltype(width)::value, kTeam = decltype(team)::value;
        launch<TeamShared>(softmax_back_kernel<T, N, kTeam>, team_blocks(kTeam, a.rows), kTeamBlock,
                           current_stream(), a);
      });
    });
  });
}

}  // namespace engine::ENGINE_GPU
