// Read first: activation_kernels.h, activation_chunk.h (the formulas).
#include "engine/ops/activation_kernels.h"

#include "engine/ops/activation_chunk.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

// Calls f(row, column, count) for chunks of at most kChunk elements of a row, in tasks of about kGrain.
template <class F>
ENGINE_INLINE void each_row_chunk(int64_t rows, int64_t n, F&& f) {
  const int64_t pieces = (n + kGrain - 1) / kGrain, grain = n >= kGrain ? 1 : kGrain / n;
  parallel_chunks(rows * pieces, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task % pieces * kGrain, last = first + kGrain < n ? first + kGrain : n;
      each_chunk(first, last, [&](int64_t i, int64_t m) { f(task / pieces, i, m); });
    }
  });
}

// Where a chunk's results are formed: the destination itself, or a buffer that store() then rounds or adds.
template <class T>
ENGINE_INLINE Compute<T>* target(T* to, bool accumulate, Compute<T>* buffer) {
  if constexpr (std::is_same_v<T, Compute<T>>)
    if (!accumulate) return to;
  return buffer;
}

template <class T>
void activate(const ActivateForward& a) {
  each_row_chunk(a.rows, a.n, [&](int64_t r, int64_t i, int64_t m) {
    Compute<T> x_buffer[kChunk], y_buffer[kChunk];
    T* to = static_cast<T*>(a.y) + r * a.n + i;
    auto* y = target(to, false, y_buffer);
    activation_values(a.activation, load(static_cast<const T*>(a.x) + r * a.x_stride + i, m, x_buffer), y, m);
    store(to, y, m, false);
  });
}

template <class T>
void activate_back(const ActivateBackward& a) {
  each_row_chunk(a.rows, a.n, [&](int64_t r, int64_t i, int64_t m) {
    Compute<T> x_buffer[kChunk], dy_buffer[kChunk], dx_buffer[kChunk];
    T* to = static_cast<T*>(a.dx) + r * a.dx_stride + i;
    auto* dx = target(to, a.accumulate, dx_buffer);
    activation_gradients(a.activation, load(static_cast<const T*>(a.x) + r * a.x_stride + i, m, x_buffer),
                         load(static_cast<const T*>(a.dy) + r * a.n + i, m, dy_buffer), dx, m);
    store(to, dx, m, a.accumulate);
  });
}

template <class T>
void gate_forward(const GluForward& a) {
  using C = Compute<T>;
  each_row_chunk(a.rows, a.n, [&](int64_t r, int64_t i, int64_t m) {
    C gate_buffer[kChunk], up_buffer[kChunk], y[kChunk];
    activation_values(a.activation,
                      load(static_cast<const T*>(a.gate) + r * a.gate_stride + i, m, gate_buffer), y, m);
    out(y, m) *= in(load(static_cast<const T*>(a.up) + r * a.up_stride + i, m, up_buffer), m);
    store(static_cast<T*>(a.y) + r * a.n + i, y, m, false);
  });
}

template <class T>
void gate_backward(const GluBackward& a) {
  using C = Compute<T>;
  each_row_chunk(a.rows, a.n, [&](int64_t r, int64_t i, int64_t m) {
    C gate_buffer[kChunk], up_buffer[kChunk], dy_buffer[kChunk], value[kChunk], slope[kChunk];
    const C* dy = load(static_cast<const T*>(a.dy) + r * a.n + i, m, dy_buffer);
    activation_both(a.activation, load(static_cast<const T*>(a.gate) + r * a.gate_stride + i, m, gate_buffer),
                    value, slope, m);
    if (a.dgate) {
      out(slope, m) *=
          in(dy, m) * in(load(static_cast<const T*>(a.up) + r * a.up_stride + i, m, up_buffer), m);
      store(static_cast<T*>(a.dgate) + r * a.dgate_stride + i, slope, m, a.accumulate_dgate);
    }
    if (a.dup) {
      out(value, m) *= in(dy, m);
      store(static_cast<T*>(a.dup) + r * a.dup_stride + i, value, m, a.accumulate_dup);
    }
  });
}

}  // namespace

void activate_forward(const ActivateForward& a) {
  visit_float(a.dtype, [&](auto t) { activate<decltype(t)>(a); });
}
void activate_backward(const ActivateBackward& a) {
  visit_float(a.dtype, [&](auto t) { activate_back<decltype(t)>(a); });
}
void glu_forward(const GluForward& a) {
  visit_float(a.dtype, [&](auto t) { gate_forward<decltype(t)>(a); });
}
void glu_backward(const GluBackward& a) {
  visit_float(a.dtype, [&](auto t) { gate_backward<decltype(t)>(a); });
}

}  // namespace engine::cpu::ENGINE_ISA
