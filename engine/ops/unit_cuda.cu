// Read first: unit_kernels.h, engine/cuda/team.h.
#include "engine/cuda/team.h"
#include "engine/ops/unit_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kWarps = kTeamBlock / 32;

GPU_INLINE double inverse(double squares) { return squares > 0 ? 1 / std::sqrt(squares) : 0; }

template <class T>
GPU_INLINE double element(const Global<T>& x, int64_t i, Where where = Where::here()) {
  const T stored = x[GPU_AT(i, where)];
  return double(as_compute(stored));
}

// A block a row.
template <class T>
__global__ void __launch_bounds__(kTeamBlock, 1) rows_kernel(MakeUnit a) {
  const Team<kTeamBlock> team;
  const auto x = global(static_cast<T*>(a.x)) + team.row * a.columns;
  double squares = 0;
  for (int64_t i = team.rank; i < a.columns; i += kTeamBlock) {
    const double v = element<T>(x, i);
    squares += v * v;
  }
  const double factor = inverse(team.sum(squares));
  for (int64_t i = team.rank; i < a.columns; i += kTeamBlock)
    x[i] = as_stored<T>(Compute<T>(element<T>(x, i) * factor));
}

// 32 columns a block; its warps share the rows.
struct ColumnShared {
  SharedArray<double, kTeamBlock> parts;
};
template <class T>
__global__ void __launch_bounds__(kTeamBlock, 1) columns_kernel(MakeUnit a) {
  auto& s = block_shared<ColumnShared>();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int64_t column = int64_t(blockIdx.x) * 32 + lane;
  const bool inside = column < a.columns;
  const auto x = global(static_cast<T*>(a.x)) + int64_t(blockIdx.y) * a.rows * a.columns;
  double squares = 0;
  for (int64_t r = warp; inside && r < a.rows; r += kWarps) {
    const double v = element<T>(x, r * a.columns + column);
    squares += v * v;
  }
  s.parts[warp * 32 + lane] = squares;
  __syncthreads();
  double all = 0;
  for (int k = 0; k < kWarps; ++k) {
    const double part = s.parts[k * 32 + lane];
    all += part;
  }
  const double factor = inverse(all);
  for (int64_t r = warp; inside && r < a.rows; r += kWarps) {
    const int64_t i = r * a.columns + column;
    x[i] = as_stored<T>(Compute<T>(element<T>(x, i) * factor));
  }
}

}  // namespace

void make_unit(const MakeUnit& a) {
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    if (a.by_columns)
      launch<ColumnShared>(columns_kernel<T>, dim3(unsigned(ceil_divide(a.columns, 32)), unsigned(a.matrices)),
                           kTeamBlock, current_stream(), a);
    else
      launch<TeamShared>(rows_kernel<T>, blocks_for(a.matrices * a.rows, 1), kTeamBlock, current_stream(), a);
  });
}

}  // namespace engine::ENGINE_GPU
