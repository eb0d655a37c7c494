// Read first: softmax_kernels.h, engine/cpu/stream.h, exp.h. A row is walked three times while it is in the
// cache: largest element, then exponentials and their sum, then the scale. 16-bit rows are widened once and
// keep their exponentials in f32 until the last rounding.
#include "engine/ops/softmax_kernels.h"

#include <math.h>

#include "engine/cpu/exp.h"
#include "engine/cpu/stream.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

// Calls f(row) in tasks of about kGrain elements.
template <class F>
ENGINE_INLINE void each_row(int64_t rows, int64_t n, Delivery how, F&& f) {
  parallel_chunks(rows, n >= kGrain ? 1 : kGrain / n, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) f(r);
    end_of_stream(how);
  });
}

// The largest of n elements, widened into `wide` when that is not x itself. NaN need not be found here: it
// shows in the sum of the exponentials.
template <class T, class C>
ENGINE_INLINE C widened_max(const T* x, int64_t n, C* wide) {
  Packet<C> top[4];
  for (Packet<C>& t : top) t = simd::pset1<Packet<C>>(widen(x[0]));
  C rest = widen(x[0]);
  each_packet_by_four<C>(n, [&](auto lane, int64_t i, int k) {
    using L = decltype(lane);
    const L v = load_as<L>(x + i);
    if constexpr (!std::is_same_v<T, C>) store_as(wide + i, v);
    if constexpr (std::is_same_v<L, C>)
      rest = v > rest ? v : rest;
    else
      top[k] = simd::pmax(top[k], v);
  });
  for (int k = 1; k < 4; ++k) top[0] = simd::pmax(top[0], top[k]);
  const C most = simd::predux_max(top[0]);
  return most > rest ? most : rest;
}

// values = e^(x - largest), or nothing kept (null); returns their sum. Meanwhile the elements at `ahead`
// come from memory.
template <class C, class T>
ENGINE_INLINE double exponentials(const C* x, int64_t n, C largest, C* values, const T* ahead) {
  return sum_of<C>(
      n, [=](auto lane, int64_t i) __attribute__((always_inline)) {
        using L = decltype(lane);
        prefetch(ahead + i);
        const L e = exp_of(simd::psub(load_as<L>(x + i), simd::pset1<L>(largest)));
        if (values) store_as(values + i, e);
        return e;
      });
}

template <class T>
void forward(const SoftmaxForward& a) {
  using C = Compute<T>;
  const Delivery how = delivery(a.y, a.dtype, a.rows, a.n, a.n, false);
  each_row(a.rows, a.n, how, [&](int64_t r) {
    const T* x = static_cast<const T*>(a.x) + r * a.x_stride;
    T* y = static_cast<T*>(a.y) + r * a.n;
    C* values;
    const C* wide;
    if constexpr (std::is_same_v<T, C>)
      values = how == Delivery::streamed ? scratch<C>(a.n) : y, wide = x;
    else
      wide = values = scratch<C>(a.n);
    const C largest = widened_max(x, a.n, values);
    const double sum =
        exponentials(wide, a.n, largest, a.log ? nullptr : values, x + kRowsAhead * a.x_stride);
    const C shift = a.log ? C(::log(sum)) : C(0), factor = C(1 / sum);
    each_packet<C>(a.n, [&](auto lane, int64_t i) {
      using L = decltype(lane);
      if (a.log)
        deliver_as(
            y + i,
            L(simd::psub(simd::psub(load_as<L>(wide + i), simd::pset1<L>(largest)), simd::pset1<L>(shift))),
            how);
      else
        deliver_as(y + i, L(simd::pmul(load_as<L>(values + i), simd::pset1<L>(factor))), how);
    });
  });
}

//   dx = y (dy - sum of dy y)        log: dx = dy - e^y sum of dy
template <class T>
void backward(const SoftmaxBackward& a) {
  using C = Compute<T>;
  const Delivery how = delivery(a.dx, a.dtype, a.rows, a.n, a.dx_stride, a.accumulate);
  each_row(a.rows, a.n, how, [&](int64_t r) {
    const T* y = static_cast<const T*>(a.y) + r * a.n;
    const T* dy = static_cast<const T*>(a.dy) + r * a.n;
    T* dx = static_cast<T*>(a.dx) + r * a.dx_stride;
    const C total = C(sum_of<C>(
        a.n, [&](auto lane, int64_t i) __attribute__((always_inline)) {
          using L = decltype(lane);
          const L g = load_as<L>(dy + i);
          return a.log ? g : L(simd::pmul(g, load_as<L>(y + i)));
        }));
    each_packet<C>(a.n, [&](auto lane, int64_t i) {
      using L = decltype(lane);
      const L g = load_as<L>(dy + i), p = load_as<L>(y + i), all = simd::pset1<L>(total);
      deliver_as(
          dx + i,
          a.log ? L(simd::psub(g, L(simd::pmul(exp_of(p), all)))) : L(simd::pmul(p, L(simd::psub(g, all)))),
          how);
    });
  });
}

}  // namespace

void softmax_forward(const SoftmaxForward& a) {
  visit_float(a.dtype, [&](auto t) { forward<decltype(t)>(a); });
}
void softmax_backward(const SoftmaxBackward& a) {
  visit_float(a.dtype, [&](auto t) { backward<decltype(t)>(a); });
}

}  // namespace engine::cpu::ENGINE_ISA
