// Read first: softmax_kernels.h, engine/cpu/row.h, exp.h. A row is walked three times while it is in the
// cache: largest element, then exponentials and their sum, then the scale. 16-bit rows are widened once and
// keep their exponentials in f32 until the last rounding.
#include "engine/ops/softmax_kernels.h"

#include <math.h>

#include "engine/cpu/exp.h"
#include "engine/cpu/row.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

// Calls f(row) in tasks of about kGrain elements.
template <class F>
ENGINE_INLINE void each_row(int64_t rows, int64_t n, F&& f) {
  parallel_chunks(rows, n >= kGrain ? 1 : kGrain / n, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) f(r);
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

// values = e^(x - largest), or nothing kept (null); returns their sum, chunks added in double.
template <class C>
ENGINE_INLINE double exponentials(const C* x, int64_t n, C largest, C* values) {
  double sum = 0;
  each_chunk(0, n, [&](int64_t begin, int64_t m) {
    PacketSum<C> sums[4];
    each_packet_by_four<C>(m, [&](auto lane, int64_t i, int k) {
      using L = decltype(lane);
      const L e = exp_of(simd::psub(load_as<L>(x + begin + i), simd::pset1<L>(largest)));
      if (values) store_as(values + begin + i, e);
      sums[k].add(e);
    });
    sum += double(total_of(sums));
  });
  return sum;
}

template <class T>
void forward(const SoftmaxForward& a) {
  using C = Compute<T>;
  each_row(a.rows, a.n, [&](int64_t r) {
    const T* x = static_cast<const T*>(a.x) + r * a.x_stride;
    T* y = static_cast<T*>(a.y) + r * a.n;
    C* values;
    const C* wide;
    if constexpr (std::is_same_v<T, C>)
      values = y, wide = x;
    else
      wide = values = scratch<C>(a.n);
    const C largest = widened_max(x, a.n, values);
    const double sum = exponentials(wide, a.n, largest, a.log ? nullptr : values);
    const C shift = C(::log(sum)), factor = C(1 / sum);
    each_packet<C>(a.n, [&](auto lane, int64_t i) {
      using L = decltype(lane);
      if (a.log)
        store_as(y + i, L(simd::psub(simd::psub(load_as<L>(wide + i), simd::pset1<L>(largest)),
                                     simd::pset1<L>(shift))));
      else
        store_as(y + i, L(simd::pmul(load_as<L>(values + i), simd::pset1<L>(factor))));
    });
  });
}

template <class T>
void backward(const SoftmaxBackward& a) {
  using C = Compute<T>;
  each_row(a.rows, a.n, [&](int64_t r) {
    C y_buffer[kChunk], dy_buffer[kChunk], result[kChunk];
    const T* y = static_cast<const T*>(a.y) + r * a.n;
    const T* dy = static_cast<const T*>(a.dy) + r * a.n;
    T* dx = static_cast<T*>(a.dx) + r * a.dx_stride;
    double sum = 0;
    each_chunk(0, a.n, [&](int64_t i, int64_t m) {
      const auto g = in(load(dy + i, m, dy_buffer), m);
      sum += double(a.log ? g.sum() : (g * in(load(y + i, m, y_buffer), m)).sum());
    });
    const C total = C(sum);
    each_chunk(0, a.n, [&](int64_t i, int64_t m) {
      const auto g = in(load(dy + i, m, dy_buffer), m), p = in(load(y + i, m, y_buffer), m);
      if (a.log)
        out(result, m) = g - p.exp() * total;
      else
        out(result, m) = p * (g - total);
      store(dx + i, result, m, a.accumulate);
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
