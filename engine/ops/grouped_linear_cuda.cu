// Read first: grouped_linear_kernels.h, engine/cuda/gpu.h. Tiles of 32 x 32 sums, formed in the compute dtype from
// tiles of 32 along the inner axis. Which rows a group has is read where the product runs: a grid for the most
// tiles that any routing needs, whose blocks look up theirs.
#include "engine/cuda/vectors.h"
#include "engine/ops/grouped_linear_kernels.h"

namespace engine::ENGINE_GPU {
namespace {

constexpr int kThreads = 256, kTile = 32, kSums = kTile * kTile / kThreads;  // sums of a thread
constexpr int kRow = kTile + 1;  // elements of a row in shared memory: no two of a column in one bank

template <class C>
struct TileShared {
  SharedArray<C, kTile * kRow> a, b;
};

template <class T>
GPU_INLINE Compute<T> element(const Global<const T>& x, int64_t i, bool inside, Where where = Where::here()) {
  if (!inside) return 0;
  const T stored = x[GPU_AT(i, where)];
  return as_compute(stored);
}

/// Thread (row, column) of the block's 8 x 32: its sums are of rows row + 8 j of the tile, all of its column.
struct Thread {
  int row, column;
  GPU_INLINE Thread() : row(int(threadIdx.x) / kTile), column(int(threadIdx.x) % kTile) {}
};
GPU_INLINE constexpr int tile_row(int row, int j) { return row + j * (kThreads / kTile); }

/// sum += a b^T of the tiles in shared memory, each [32 sums, 32 inner].
template <class C>
GPU_INLINE void multiply_tiles(TileShared<C>& s, const Thread& at, C (&sum)[kSums]) {
  for (int p = 0; p < kTile; ++p) {
    const C b = s.b[at.column * kRow + p];
#pragma unroll
    for (int j = 0; j < kSums; ++j) {
      const C a = s.a[tile_row(at.row, j) * kRow + p];
      sum[j] += a * b;
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, 1) product_kernel(GroupedProduct a) {
  using C = Compute<T>;
  auto& s = block_shared<TileShared<C>>();
  const Thread at;
  // Group and rows of the block's tile.
  const auto offsets = global(a.offsets);
  int64_t tile = blockIdx.y, group = 0, begin = 0, end = 0;
  for (; group < a.groups; ++group) {
    const int32_t first = offsets[group], last = offsets[group + 1];
    const int64_t tiles = (last - first + kTile - 1) / kTile;
    if (tile < tiles) {
      begin = first + tile * kTile, end = last;
      break;
    }
    tile -= tiles;
  }
  if (group == a.groups) return;  // the whole block
  const int64_t column = int64_t(blockIdx.x) * kTile;
  const auto x = global(static_cast<const T*>(a.x)), w = global(static_cast<const T*>(a.weight)) + group * a.n * a.k;
  C sum[kSums] = {};
  for (int64_t p = 0; p < a.k; p += kTile) {
#pragma unroll
    for (int j = 0; j < kSums; ++j) {
      const int64_t row = begin + tile_row(at.row, j), inner = p + at.column;
      s.a[tile_row(at.row, j) * kRow + at.column] =
          element<T>(x, row * a.k + inner, row < end && inner < a.k);
      if (a.transposed) {  // neighbours read neighbours: along the inner axis
        const int64_t n = column + tile_row(at.row, j);
        s.b[tile_row(at.row, j) * kRow + at.column] = element<T>(w, n * a.k + inner, n < a.n && inner < a.k);
      } else {
        const int64_t n = column + at.column, k = p + tile_row(at.row, j);
        s.b[at.column * kRow + tile_row(at.row, j)] = element<T>(w, k * a.n + n, n < a.n && k < a.k);
      }
    }
    __syncthreads();
    multiply_tiles<C>(s, at, sum);
    __syncthreads();
  }
  const int64_t n = column + at.column;
#pragma unroll
  for (int j = 0; j < kSums; ++j) {
    const int64_t row = begin + tile_row(at.row, j);
    if (row < end && n < a.n) store_any(a.y, a.y_dtype, row * a.n + n, sum[j], a.accumulate);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, 1) gradient_kernel(GroupedGradient a) {
  using C = Compute<T>;
  auto& s = block_shared<TileShared<C>>();
  const Thread at;
  const int64_t group = blockIdx.z, row = int64_t(blockIdx.y) * kTile, column = int64_t(blockIdx.x) * kTile;
  const int32_t begin = global(a.offsets)[group], end = global(a.offsets)[group + 1];
  const auto dy = global(static_cast<const T*>(a.dy)), x = global(static_cast<const T*>(a.x));
  C sum[kSums] = {};
  for (int64_t p = begin; p < end; p += kTile) {
#pragma unroll
    for (int j = 0; j < kSums; ++j) {
      const int64_t i = p + tile_row(at.row, j), n = row + at.column, k = column + at.column;
      s.a[at.column * kRow + tile_row(at.row, j)] = element<T>(dy, i * a.n + n, i < end && n < a.n);
      s.b[at.column * kRow + tile_row(at.row, j)] = element<T>(x, i * a.k + k, i < end && k < a.k);
    }
    __syncthreads();
    multiply_tiles<C>(s, at, sum);
    __syncthreads();
  }
  const int64_t k = column + at.column;
#pragma unroll
  for (int j = 0; j < kSums; ++j) {
    const int64_t n = row + tile_row(at.row, j);
    if (n < a.n && k < a.k)
      store_any(a.dw, a.dw_dtype, (group * a.n + n) * a.k + k, sum[j], a.accumulate);
  }
}

unsigned tiles_of(int64_t n) { return unsigned(ceil_divide(n, kTile)); }

}  // namespace

void grouped_product(const GroupedProduct& a) {
  if (a.rows * a.n == 0 || a.groups == 0) return;
  const dim3 grid(tiles_of(a.n), tiles_of(a.rows) + unsigned(a.groups));
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    launch<TileShared<Compute<T>>>(product_kernel<T>, grid, kThreads, current_stream(), a);
  });
}

void grouped_gradient(const GroupedGradient& a) {
  if (a.groups * a.n * a.k == 0) return;
  const dim3 grid(tiles_of(a.k), tiles_of(a.n), unsigned(a.groups));
  visit_float(a.dtype, [&](auto t) {
    using T = decltype(t);
    launch<TileShared<Compute<T>>>(gradient_kernel<T>, grid, kThreads, current_stream(), a);
  });
}

}  // namespace engine::ENGINE_GPU
