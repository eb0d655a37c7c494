// Read first: activation_kernels.h, activation_chunk.h (the formulas).
#include "engine/ops/activation_kernels.h"

#include "engine/cpu/stream.h"
#include "engine/ops/activation_chunk.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

// Calls f(row, column, count) for rows, long ones in pieces, in tasks of about kGrain elements.
template <class F>
ENGINE_INLINE void each_row_piece(int64_t rows, int64_t n, Delivery how, F&& f) {
  const int64_t pieces = (n + kGrain - 1) / kGrain, grain = n >= kGrain ? 1 : kGrain / n;
  parallel_chunks(rows * pieces, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t first = task % pieces * kGrain, last = first + kGrain < n ? first + kGrain : n;
      f(task / pieces, first, last - first);
    }
    end_of_stream(how);
  });
}

template <class T>
ENGINE_INLINE Delivery delivery_of(const void* to, int64_t rows, int64_t n, int64_t stride, bool accumulate) {
  return delivery(to, dtype_of<T>(), rows, n, stride, accumulate);
}

// The first n elements of a packet, or one double.
template <class T, class P>
ENGINE_INLINE void deliver(T* to, int64_t n, const P& values, Delivery how) {
  if (std::is_same_v<T, double> || n == kPacketLanes<float>) return deliver_as(to, values, how);
  put(to, n, how == Delivery::added ? P(get<P>(to, n) + values) : values);
}

template <class T>
void activate(const ActivateForward& a) {
  const Delivery how = delivery_of<T>(a.y, a.rows, a.n, a.n, false);
  each_row_piece(a.rows, a.n, how, [&](int64_t r, int64_t i, int64_t m) {
    T* y = static_cast<T*>(a.y) + r * a.n + i;
    each_activation(
        a.activation, static_cast<const T*>(a.x) + r * a.x_stride + i, m,
        [&](int64_t j, int64_t k, const auto& value, const auto&) { deliver(y + j, k, value, how); });
  });
}

template <class T>
void activate_back(const ActivateBackward& a) {
  const Delivery how = delivery_of<T>(a.dx, a.rows, a.n, a.dx_stride, a.accumulate);
  each_row_piece(a.rows, a.n, how, [&](int64_t r, int64_t i, int64_t m) {
    const T* dy = static_cast<const T*>(a.dy) + r * a.n + i;
    T* dx = static_cast<T*>(a.dx) + r * a.dx_stride + i;
    each_activation(a.activation, static_cast<const T*>(a.x) + r * a.x_stride + i, m,
                    [&](int64_t j, int64_t k, const auto&, const auto& slope) {
                      using P = std::decay_t<decltype(slope)>;
                      deliver(dx + j, k, P(get<P>(dy + j, k) * slope), how);
                    });
  });
}

template <class T>
void gate_forward(const GluForward& a) {
  const Delivery how = delivery_of<T>(a.y, a.rows, a.n, a.n, false);
  each_row_piece(a.rows, a.n, how, [&](int64_t r, int64_t i, int64_t m) {
    const T* up = static_cast<const T*>(a.up) + r * a.up_stride + i;
    T* y = static_cast<T*>(a.y) + r * a.n + i;
    each_activation(a.activation, static_cast<const T*>(a.gate) + r * a.gate_stride + i, m,
                    [&](int64_t j, int64_t k, const auto& value, const auto&) {
                      using P = std::decay_t<decltype(value)>;
                      deliver(y + j, k, P(value * get<P>(up + j, k)), how);
                    });
  });
}

template <class T>
void gate_backward(const GluBackward& a) {
  const Delivery of_gate = delivery_of<T>(a.dgate, a.rows, a.n, a.dgate_stride, a.accumulate_dgate),
                 of_up = delivery_of<T>(a.dup, a.rows, a.n, a.dup_stride, a.accumulate_dup);
  each_row_piece(a.rows, a.n, of_gate == Delivery::streamed ? of_gate : of_up,
                 [&](int64_t r, int64_t i, int64_t m) {
                   const T* up = static_cast<const T*>(a.up) + r * a.up_stride + i;
                   const T* dy = static_cast<const T*>(a.dy) + r * a.n + i;
                   T* dgate = a.dgate ? static_cast<T*>(a.dgate) + r * a.dgate_stride + i : nullptr;
                   T* dup = a.dup ? static_cast<T*>(a.dup) + r * a.dup_stride + i : nullptr;
                   each_activation(a.activation, static_cast<const T*>(a.gate) + r * a.gate_stride + i, m,
                                   [&](int64_t j, int64_t k, const auto& value, const auto& slope) {
                                     using P = std::decay_t<decltype(value)>;
                                     const P g = get<P>(dy + j, k), u = get<P>(up + j, k);
                                     if (dgate) deliver(dgate + j, k, P(g * u * slope), of_gate);
                                     if (dup) deliver(dup + j, k, P(g * value), of_up);
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
