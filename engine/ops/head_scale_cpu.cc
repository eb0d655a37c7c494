// Read first: head_scale_kernels.h, engine/cpu/chunk.h.
#include "engine/ops/head_scale_kernels.h"

#include "engine/cpu/chunk.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

template <class T>
void forward(const HeadScaleForward& a) {
  using C = Compute<T>;
  const auto* gain = static_cast<const C*>(a.gain);
  parallel_chunks(a.rows, kHeadScaleRows, [&](int64_t begin, int64_t end) {
    C buffer[kChunk], result[kChunk];
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t h = 0; h < a.heads; ++h) {
        const T* x = static_cast<const T*>(a.x) + r * a.x_stride + h * a.n;
        T* y = static_cast<T*>(a.y) + (r * a.heads + h) * a.n;
        each_chunk(0, a.n, [&](int64_t i, int64_t m) {
          out(result, m) = gain[h] * in(load(x + i, m, buffer), m);
          store(y + i, result, m, false);
        });
      }
    }
  });
}

template <class T>
void backward(const HeadScaleBackward& a) {
  using C = Compute<T>;
  const auto* gain = static_cast<const C*>(a.gain);
  const int64_t chunks = (a.rows + kHeadScaleRows - 1) / kHeadScaleRows;
  parallel_for(chunks, [&](int64_t chunk) {
    C x_buffer[kChunk], dy_buffer[kChunk], result[kChunk];
    C* sums = static_cast<C*>(a.partials) + chunk * a.heads;
    if (a.dgain) out(sums, a.heads).setZero();
    const int64_t end = (chunk + 1) * kHeadScaleRows < a.rows ? (chunk + 1) * kHeadScaleRows : a.rows;
    for (int64_t r = chunk * kHeadScaleRows; r < end; ++r) {
      for (int64_t h = 0; h < a.heads; ++h) {
        const T* x = static_cast<const T*>(a.x) + r * a.x_stride + h * a.n;
        const T* dy = static_cast<const T*>(a.dy) + (r * a.heads + h) * a.n;
        T* dx = a.dx ? static_cast<T*>(a.dx) + r * a.dx_stride + h * a.n : nullptr;
        each_chunk(0, a.n, [&](int64_t i, int64_t m) {
          const C* g = load(dy + i, m, dy_buffer);
          if (a.dgain) sums[h] += (in(g, m) * in(load(x + i, m, x_buffer), m)).sum();
          if (!a.dx) return;
          out(result, m) = gain[h] * in(g, m);
          store(dx + i, result, m, a.accumulate_dx);
        });
      }
    }
  });
  if (!a.dgain) return;
  auto dgain = out(static_cast<C*>(a.dgain), a.heads);
  if (!a.accumulate_dgain) dgain.setZero();
  for (int64_t chunk = 0; chunk < chunks; ++chunk)
    dgain += in(static_cast<const C*>(a.partials) + chunk * a.heads, a.heads);
}

}  // namespace

void head_scale_forward(const HeadScaleForward& a) {
  visit_float(a.dtype, [&](auto t) { forward<decltype(t)>(a); });
}
void head_scale_backward(const HeadScaleBackward& a) {
  visit_float(a.dtype, [&](auto t) { backward<decltype(t)>(a); });
}

}  // namespace engine::cpu::ENGINE_ISA
