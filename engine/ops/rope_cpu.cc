// Read first: rope_kernels.h, engine/cpu/chunk.h.
#include "engine/ops/rope_kernels.h"

#include "engine/cpu/chunk.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

template <class T>
void rotate(const RopeArgs& a) {
  using C = Compute<T>;
  const int64_t half = a.n / 2, width = a.heads * a.n, grain = width >= kGrain ? 1 : kGrain / width;
  const C sign = a.inverse ? C(-1) : C(1);
  parallel_chunks(a.rows, grain, [&](int64_t begin, int64_t end) {
    C first[kChunk], second[kChunk], y1[kChunk], y2[kChunk];
    for (int64_t r = begin; r < end; ++r) {
      const C* cos_row = static_cast<const C*>(a.cos) + r % a.time * half;
      const C* sin_row = static_cast<const C*>(a.sin) + r % a.time * half;
      for (int64_t h = 0; h < a.heads; ++h) {
        const T* x = static_cast<const T*>(a.x) + r * a.x_stride + h * a.n;
        T* y = static_cast<T*>(a.y) + r * a.y_stride + h * a.n;
        each_chunk(0, half, [&](int64_t i, int64_t m) {
          const auto x1 = in(load(x + i, m, first), m), x2 = in(load(x + half + i, m, second), m);
          const auto c = in(cos_row + i, m), s = in(sin_row + i, m);
          out(y1, m) = x1 * c - sign * x2 * s;
          out(y2, m) = x2 * c + sign * x1 * s;
          store(y + i, y1, m, a.accumulate);
          store(y + half + i, y2, m, a.accumulate);
        });
      }
    }
  });
}

}  // namespace

void rope(const RopeArgs& a) {
  visit_float(a.dtype, [&](auto t) { rotate<decltype(t)>(a); });
}

}  // namespace engine::cpu::ENGINE_ISA
