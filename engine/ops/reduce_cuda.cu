// Read first: reduce_kernels.h, engine/cuda/team.h. Sums go through partial sums in double over pieces that
// the shape fixes, and a second launch adds the pieces in order.
#include "engine/cuda/team.h"
#include "engine/ops/reduce_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kThreads = 256;

GPU_INLINE int64_t thread_index() { return int64_t(blockIdx.x) * kThreads + threadIdx.x; }

// A thread per column of a piece: neighbours read neighbours.
template <class C>
__global__ void __launch_bounds__(kThreads, 1) piece_columns_kernel(SumArgs a) {
  const int64_t i = thread_index(), pieces = sum_pieces(a.n, a.inner), rows = sum_piece_rows(a.inner);
  if (i >= a.outer * pieces * a.inner) return;
  const int64_t column = i % a.inner, piece = i / a.inner % pieces, o = i / a.inner / pieces;
  const int64_t first = piece * rows, last = first + rows < a.n ? first + rows : a.n;
  double sum = 0;
  for (int64_t r = first; r < last; ++r)
    sum += double(load_any<C>(a.x, a.x_dtype, (o * a.n + r) * a.inner + column));
  global(a.partials)[i] = sum;
}

// A block per piece of one column: for rows of few elements.
template <class C>
__global__ void __launch_bounds__(kTeamBlock, 1) piece_kernel(SumArgs a) {
  const Team<kTeamBlock> team;
  const int64_t pieces = sum_pieces(a.n, a.inner), rows = sum_piece_rows(a.inner);
  const int64_t column = team.row % a.inner, piece = team.row / a.inner % pieces,
                o = team.row / a.inner / pieces;
  const int64_t first = piece * rows, last = first + rows < a.n ? first + rows : a.n;
  double sum = 0;
  for (int64_t r = first + team.rank; r < last; r += kTeamBlock)
    sum += double(load_any<C>(a.x, a.x_dtype, (o * a.n + r) * a.inner + column));
  sum = team.sum(sum);
  if (team.rank == 0) global(a.partials)[team.row] = sum;
}

__global__ void __launch_bounds__(kThreads, 1) add_pieces_kernel(SumArgs a) {
  const int64_t i = thread_index(), pieces = sum_pieces(a.n, a.inner);
  if (i >= a.outer * a.inner) return;
  const auto partials = global(static_cast<const double*>(a.partials));
  const int64_t first = i / a.inner * pieces * a.inner + i % a.inner;
  double sum = 0;
  for (int64_t piece = 0; piece < pieces; ++piece) sum += double(partials[first + piece * a.inner]);
  store_any(a.y, a.y_dtype, i, a.factor * sum, a.accumulate);
}

template <class C>
__global__ void __launch_bounds__(kThreads, 1) spread_kernel(SpreadArgs a) {
  const int64_t i = thread_index();
  if (i >= a.outer * a.n * a.inner) return;
  const int64_t at = i / a.inner / a.n * a.inner + i % a.inner;
  store_any(a.dx, a.dx_dtype, i, C(a.factor) * load_any<C>(a.dy, a.dy_dtype, at), a.accumulate);
}

template <class T, int kTeam>
__global__ void __launch_bounds__(kTeamBlock, 1) max_kernel(MaxArgs a) {
  using C = Compute<T>;
  const Team<kTeam> team;
  const bool here = team.row < a.rows;
  const auto x = global(static_cast<const T*>(a.x)) + (here ? team.row * a.x_stride : 0);
  C top = -C(INFINITY);
  for (int64_t i = team.rank; here && i < a.n; i += kTeam) {
    const T element = x[i];
    const C v = as_compute(element);
    top = v > top || v != v ? v : top;
    if (top != top) break;  // NaN stays
  }
  top = team.max(top);
  if (here && team.rank == 0) global(static_cast<T*>(a.y))[team.row] = as_stored<T>(top);
}

}  // namespace

void sum(const SumArgs& a) {
  const int64_t columns = a.outer * a.inner, work = columns * sum_pieces(a.n, a.inner);
  if (columns == 0) return;
  if (work > 0) {
    const bool wide = a.x_dtype == DType::f64;
    if (a.inner >= 32)
      launch<NoShared>(wide ? piece_columns_kernel<double> : piece_columns_kernel<float>,
                       blocks_for(work, kThreads), kThreads, current_stream(), a);
    else
      launch<TeamShared>(wide ? piece_kernel<double> : piece_kernel<float>, team_blocks(kTeamBlock, work),
                         kTeamBlock, current_stream(), a);
  }
  launch<NoShared>(add_pieces_kernel, blocks_for(columns, kThreads), kThreads, current_stream(), a);
}

void spread(const SpreadArgs& a) {
  const int64_t n = a.outer * a.n * a.inner;
  if (n == 0) return;
  launch<NoShared>(a.dx_dtype == DType::f64 ? spread_kernel<double> : spread_kernel<float>,
                   blocks_for(n, kThreads), kThreads, current_stream(), a);
}

void max_last(const MaxArgs& a) {
  if (a.rows == 0) return;
  visit_float(a.dtype, [&](auto t) {
    visit_team(a.n, [&](auto team) {
      constexpr int kTeam = decltype(team)::value;
      launch<TeamShared>(max_kernel<decltype(t), kTeam>, team_blocks(kTeam, a.rows), kTeamBlock,
                         current_stream(), a);
    });
  });
}

}  // namespace engine::ENGINE_GPU
