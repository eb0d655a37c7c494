// Read first: grouped_linear_kernels.h, product_tiles_cuda.h. Which rows a group has is read where the
// product runs: a grid for the most tiles that any routing needs, whose blocks look up theirs.
#include "engine/ops/grouped_linear_kernels.h"
#include "engine/ops/product_tiles_cuda.h"

namespace engine::ENGINE_GPU {
namespace {

/// Rows of one group: a tile's first, and where the group ends; first = end where there is no such tile.
struct Rows {
  int64_t group, first, end;
};
/// The tile'th of all tiles of `size` rows, group by group.
GPU_INLINE Rows rows_of(const int32_t* offsets_in, int64_t groups, int64_t tile, int size) {
  const auto offsets = global(offsets_in);
  for (int64_t group = 0; group < groups; ++group) {
    const int32_t first = offsets[group], last = offsets[group + 1];
    const int64_t tiles = (last - first + size - 1) / size;
    if (tile < tiles) return {group, first + tile * size, last};
    tile -= tiles;
  }
  return {0, 0, 0};
}

// `Way`: how tiles are formed. kAlong: of the weight, [n, k] (transposed) or [k, n].
template <class Way, bool kAlong>
__global__ void __launch_bounds__(Way::kThreads, Way::kBlocks) grouped_product_kernel(GroupedProduct a) {
  using T = typename Way::Element;
  auto& s = block_shared<typename Way::template Shared<true, kAlong>>();
  const Rows rows = rows_of(a.offsets, a.groups, blockIdx.y, Way::kTile);
  if (rows.first == rows.end) return;  // the whole block
  const Side<T> x{global(static_cast<const T*>(a.x)), a.k, rows.end, a.k};
  const Side<T> w{global(static_cast<const T*>(a.weight)) + rows.group * a.n * a.k, kAlong ? a.k : a.n, a.n,
                  a.k};
  Way::template form<true, kAlong>(
      s, x, rows.first, w, int64_t(blockIdx.x) * Way::kTile, 0,
      [&](int64_t i, int64_t n, const auto& v) { store_any(a.y, a.y_dtype, i * a.n + n, v, a.accumulate); });
}

template <class Way>
__global__ void __launch_bounds__(Way::kThreads, Way::kBlocks) grouped_gradient_kernel(GroupedGradient a) {
  using T = typename Way::Element;
  auto& s = block_shared<typename Way::template Shared<false, false>>();
  const int64_t group = blockIdx.z;
  const int32_t first = global(a.offsets)[group], end = global(a.offsets)[group + 1];
  const Side<T> dy{global(static_cast<const T*>(a.dy)), a.n, a.n, end};
  const Side<T> x{global(static_cast<const T*>(a.x)), a.k, a.k, end};
  Way::template form<false, false>(
      s, dy, int64_t(blockIdx.y) * Way::kTile, x, int64_t(blockIdx.x) * Way::kTile, first,
      [&](int64_t n, int64_t k, const auto& v) {
        store_any(a.dw, a.dw_dtype, (group * a.n + n) * a.k + k, v, a.accumulate);
      });
}

/// f(Way): on tensor cores where operands are in 16 bits and in whole chunks.
template <class F>
void visit_way(DType dtype, std::initializer_list<const void*> bases, int64_t n, int64_t k, F&& f) {
  const bool whole = packs(8, bases, {n, k});
  if (whole && dtype == DType::bf16) return f(TensorCores<bf16>());
  if (whole && dtype == DType::f16) return f(TensorCores<f16>());
  visit_float(dtype, [&](auto t) { f(MultiplyAdds<decltype(t)>()); });
}

unsigned tiles_of(int64_t n, int size) { return unsigned(ceil_divide(n, size)); }

}  // namespace

void grouped_product(const GroupedProduct& a) {
  if (a.rows * a.n == 0 || a.groups == 0) return;
  visit_way(a.dtype, {a.x, a.weight, a.y}, a.n, a.k, [&](auto way) {
    using Way = decltype(way);
    const dim3 grid(tiles_of(a.n, Way::kTile), tiles_of(a.rows, Way::kTile) + unsigned(a.groups));
    const auto run = [&](auto along) {
      constexpr bool kAlong = decltype(along)::value;
      launch<typename Way::template Shared<true, kAlong>>(grouped_product_kernel<Way, kAlong>, grid,
                                                          Way::kThreads, current_stream(), a);
    };
    a.transposed ? run(std::true_type()) : run(std::false_type());
  });
}

void grouped_gradient(const GroupedGradient& a) {
  if (a.groups * a.n * a.k == 0) return;
  visit_way(a.dtype, {a.dy, a.x, a.dw}, a.n, a.k, [&](auto way) {
    using Way = decltype(way);
    const dim3 grid(tiles_of(a.k, Way::kTile), tiles_of(a.n, Way::kTile), unsigned(a.groups));
    launch<typename Way::template Shared<false, false>>(grouped_gradient_kernel<Way>, grid, Way::kThreads,
                                                        current_stream(), a);
  });
}

}  // namespace engine::ENGINE_GPU
