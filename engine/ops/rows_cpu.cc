// Read first: rows_kernels.h, engine/cpu/any.h.
#include "engine/cpu/any.h"
#include "engine/ops/rows_kernels.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

template <class C>
ENGINE_INLINE C factor_of(const void* weights, int64_t i, double scale) {
  return weights ? static_cast<const C*>(weights)[i] * C(scale) : C(scale);
}
ENGINE_INLINE int64_t row_grain(int64_t d) { return d >= kGrain ? 1 : kGrain / (d < 1 ? 1 : d); }

template <class C>
void gather(const GatherRows& a) {
  parallel_chunks(a.n, row_grain(a.d), [&](int64_t begin, int64_t end) {
    C x_buffer[kChunk], y_buffer[kChunk];
    for (int64_t i = begin; i < end; ++i) {
      const C factor = factor_of<C>(a.weights, i, a.scale);
      each_chunk(0, a.d, [&](int64_t j, int64_t m) {
        const C* x = load_any(a.table, a.table_dtype, a.ids[i] * a.d + j, 1, m, x_buffer);
        C* y = target_any(a.y, a.y_dtype, i * a.d + j, a.accumulate, y_buffer);
        out(y, m) = factor * in(x, m);
        store_any(a.y, a.y_dtype, i * a.d + j, y, m, a.accumulate);
      });
    }
  });
}

// A task is a few rows of y, whole or in column pieces, so that one frequent id does not keep a single thread
// busy.
constexpr int64_t kScatterRows = 16;

template <class C>
void scatter(const ScatterRows& a) {
  const int64_t columns = (a.d + kChunk - 1) / kChunk, blocks = (a.rows + kScatterRows - 1) / kScatterRows;
  parallel_for(blocks * columns, [&](int64_t task) {
    const int64_t j = task % columns * kChunk, m = a.d - j < kChunk ? a.d - j : kChunk;
    const int64_t first = task / columns * kScatterRows;
    const int64_t last = first + kScatterRows < a.rows ? first + kScatterRows : a.rows;
    C x_buffer[kChunk], sum[kChunk];
    for (int64_t v = first; v < last; ++v) {
      const int32_t begin = a.starts[v], end = a.starts[v + 1];
      if (begin == end && a.accumulate) continue;
      out(sum, m).setZero();
      for (int32_t k = begin; k < end; ++k) {
        const int64_t i = a.order[k];
        out(sum, m) += factor_of<C>(a.weights, i, a.scale) *
                       in(load_any(a.x, a.x_dtype, i * a.d + j, 1, m, x_buffer), m);
      }
      store_any(a.y, a.y_dtype, v * a.d + j, sum, m, a.accumulate);
    }
  });
}

template <class C>
void dot(const DotRows& a) {
  parallel_chunks(a.n, row_grain(a.d), [&](int64_t begin, int64_t end) {
    C x_buffer[kChunk], table_buffer[kChunk];
    for (int64_t i = begin; i < end; ++i) {
      C sum = 0;
      each_chunk(0, a.d, [&](int64_t j, int64_t m) {
        sum += (in(load_any(a.x, a.dtype, i * a.d + j, 1, m, x_buffer), m) *
                in(load_any(a.table, a.dtype, a.ids[i] * a.d + j, 1, m, table_buffer), m))
                   .sum();
      });
      store_any(a.y, a.y_dtype, i, &sum, 1, a.accumulate);
    }
  });
}

}  // namespace

// A counting sort: O(ids + rows), on one thread (a few microseconds per thousand).
void sort_rows(const SortRows& a) {
  for (int64_t v = 0; v <= a.rows; ++v) a.starts[v] = 0;
  for (int64_t i = 0; i < a.n; ++i) ++a.starts[a.ids[i]];
  int32_t total = 0;
  for (int64_t v = 0; v <= a.rows; ++v) {
    const int32_t count = a.starts[v];
    a.starts[v] = total;
    total += count;
  }
  for (int64_t i = 0; i < a.n; ++i) a.order[a.starts[a.ids[i]]++] = int32_t(i);
  for (int64_t v = a.rows; v > 0; --v) a.starts[v] = a.starts[v - 1];  // each has moved to the next row's start
  a.starts[0] = 0;
}
void gather_rows(const GatherRows& a) { a.y_dtype == DType::f64 ? gather<double>(a) : gather<float>(a); }
void scatter_rows(const ScatterRows& a) { a.y_dtype == DType::f64 ? scatter<double>(a) : scatter<float>(a); }
void dot_rows(const DotRows& a) { a.dtype == DType::f64 ? dot<double>(a) : dot<float>(a); }

}  // namespace engine::cpu::ENGINE_ISA
