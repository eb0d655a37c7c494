// Read first: routing_kernels.h, engine/cpu/kernel.h.
#include "engine/cpu/kernel.h"
#include "engine/ops/routing_kernels.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

int64_t rows_per_task(int64_t width) { return width >= kGrain ? 1 : kGrain / (width < 1 ? 1 : width); }

template <class T>
void combine(const CombineRows& a) {
  using C = Compute<T>;
  const auto* x = static_cast<const T*>(a.x);
  const auto* weights = static_cast<const C*>(a.weights);
  parallel_chunks(a.rows, rows_per_task(a.width), [&](int64_t begin, int64_t end) {
    C buffer[kChunk], sum[kChunk];
    for (int64_t t = begin; t < end; ++t) {
      const int64_t first = a.offsets ? a.offsets[t] : t, last = a.offsets ? a.offsets[t + 1] : t + 1;
      T* y = static_cast<T*>(a.y) + t * a.width;
      each_chunk(0, a.width, [&](int64_t i, int64_t m) {
        out(sum, m).setZero();
        for (int64_t p = first; p < last; ++p) {
          const C weight = weights ? weights[p] : C(1);
          out(sum, m) += weight * in(load(x + a.index[p] * a.width + i, m, buffer), m);
        }
        store(y + i, sum, m, a.accumulate);
      });
    }
  });
}

template <class T>
void products(const RowProducts& a) {
  using C = Compute<T>;
  parallel_chunks(a.rows, rows_per_task(a.width), [&](int64_t begin, int64_t end) {
    C x_buffer[kChunk], y_buffer[kChunk];
    for (int64_t r = begin; r < end; ++r) {
      const T* x = static_cast<const T*>(a.x) + r * a.width;
      const T* y = static_cast<const T*>(a.y) + a.index[r] * a.width;
      C sum = 0;
      each_chunk(0, a.width, [&](int64_t i, int64_t m) {
        sum += (in(load(x + i, m, x_buffer), m) * in(load(y + i, m, y_buffer), m)).sum();
      });
      C& product = static_cast<C*>(a.products)[r];
      product = a.accumulate ? product + sum : sum;
    }
  });
}

}  // namespace

void combine_rows(const CombineRows& a) {
  visit_float(a.dtype, [&](auto t) { combine<decltype(t)>(a); });
}
void row_products(const RowProducts& a) {
  visit_float(a.dtype, [&](auto t) { products<decltype(t)>(a); });
}

}  // namespace engine::cpu::ENGINE_ISA
