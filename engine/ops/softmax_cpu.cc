// Read first: softmax_kernels.h, engine/cpu/kernel.h. A row is walked in chunks that stay in L1: largest
// element, then exponentials and their sum, then the scale.
#include "engine/ops/softmax_kernels.h"

#include <math.h>

#include "engine/cpu/kernel.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

// Calls f(row) in tasks of about kGrain elements.
template <class F>
ENGINE_INLINE void each_row(int64_t rows, int64_t n, F&& f) {
  parallel_chunks(rows, n >= kGrain ? 1 : kGrain / n, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) f(r);
  });
}

template <class T>
void forward(const SoftmaxForward& a) {
  using C = Compute<T>;
  each_row(a.rows, a.n, [&](int64_t r) {
    C buffer[kChunk];
    const T* x = static_cast<const T*>(a.x) + r * a.x_stride;
    T* y = static_cast<T*>(a.y) + r * a.n;
    // 16-bit rows are widened once and keep their exponentials in f32 until the last rounding.
    const C* wide = load(x, a.n, std::is_same_v<T, C> ? buffer : scratch<C>(a.n));
    C* values;
    if constexpr (std::is_same_v<T, C>)
      values = y;
    else
      values = const_cast<C*>(wide);
    C largest = wide[0];
    each_chunk(0, a.n, [&](int64_t i, int64_t m) {
      const C top = in(wide + i, m).template maxCoeff<Eigen::PropagateNaN>();
      if (!(top <= largest)) largest = top;
    });
    double sum = 0;
    each_chunk(0, a.n, [&](int64_t i, int64_t m) {
      C* e = a.log ? buffer : values + i;
      out(e, m) = (in(wide + i, m) - largest).exp();
      sum += double(in(e, m).sum());
    });
    if (a.log) {
      const C shift = C(::log(sum));
      each_chunk(0, a.n, [&](int64_t i, int64_t m) {
        out(values + i, m) = in(wide + i, m) - largest - shift;
        store(y + i, values + i, m, false);
      });
    } else {
      const C factor = C(1 / sum);
      each_chunk(0, a.n, [&](int64_t i, int64_t m) {
        out(values + i, m) *= factor;
        store(y + i, values + i, m, false);
      });
    }
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
