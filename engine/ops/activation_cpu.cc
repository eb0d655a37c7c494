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

// to = values or to += values, n of them.
template <class T, class P>
ENGINE_INLINE void deliver(T* to, int64_t n, const P& values, bool accumulate) {
  put(to, n, accumulate ? P(get<P>(to, n) + values) : values);
}

template <class T>
void activate(const ActivateForward& a) {
  each_row_chunk(a.rows, a.n, [&](int64_t r, int64_t i, int64_t m) {
    activation_values(a.activation, static_cast<const T*>(a.x) + r * a.x_stride + i,
                      static_cast<T*>(a.y) + r * a.n + i, m);
  });
}

template <class T>
void activate_back(const ActivateBackward& a) {
  each_row_chunk(a.rows, a.n, [&](int64_t r, int64_t i, int64_t m) {
    const T* dy = static_cast<const T*>(a.dy) + r * a.n + i;
    T* dx = static_cast<T*>(a.dx) + r * a.dx_stride + i;
    each_activation(a.activation, static_cast<const T*>(a.x) + r * a.x_stride + i, m,
                    [&](int64_t j, int64_t k, const auto&, const auto& slope) {
                      using P = std::decay_t<decltype(slope)>;
                      deliver(dx + j, k, P(get<P>(dy + j, k) * slope), a.accumulate);
                    });
  });
}

template <class T>
void gate_forward(const GluForward& a) {
  each_row_chunk(a.rows, a.n, [&](int64_t r, int64_t i, int64_t m) {
    const T* up = static_cast<const T*>(a.up) + r * a.up_stride + i;
    T* y = static_cast<T*>(a.y) + r * a.n + i;
    each_activation(a.activation, static_cast<const T*>(a.gate) + r * a.gate_stride + i, m,
                    [&](int64_t j, int64_t k, const auto& value, const auto&) {
                      using P = std::decay_t<decltype(value)>;
                      put(y + j, k, P(value * get<P>(up + j, k)));
                    });
  });
}

template <class T>
void gate_backward(const GluBackward& a) {
  each_row_chunk(a.rows, a.n, [&](int64_t r, int64_t i, int64_t m) {
    const T* up = static_cast<const T*>(a.up) + r * a.up_stride + i;
    const T* dy = static_cast<const T*>(a.dy) + r * a.n + i;
    T* dgate = a.dgate ? static_cast<T*>(a.dgate) + r * a.dgate_stride + i : nullptr;
    T* dup = a.dup ? static_cast<T*>(a.dup) + r * a.dup_stride + i : nullptr;
    each_activation(a.activation, static_cast<const T*>(a.gate) + r * a.gate_stride + i, m,
                    [&](int64_t j, int64_t k, const auto& value, const auto& slope) {
                      using P = std::decay_t<decltype(value)>;
                      const P g = get<P>(dy + j, k), u = get<P>(up + j, k);
                      if (dgate) deliver(dgate + j, k, P(g * u * slope), a.accumulate_dgate);
                      if (dup) deliver(dup + j, k, P(g * value), a.accumulate_dup);
                    });
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
