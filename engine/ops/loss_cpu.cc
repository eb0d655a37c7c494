// Read first: loss_kernels.h, engine/cpu/chunk.h.
#include "engine/ops/loss_kernels.h"

#include <cmath>

#include "engine/cpu/chunk.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

/// The largest element of a row, and log(sum exp(z - top)): in two passes over chunks.
template <class T>
struct LogSumExp {
  Compute<T> top;
  double rest;
};
template <class T>
LogSumExp<T> log_sum_exp(const T* z, int64_t n) {
  using C = Compute<T>;
  C buffer[kChunk];
  C top = load(z, 1, buffer)[0];
  each_chunk(0, n, [&](int64_t i, int64_t m) {
    const C chunk = in(load(z + i, m, buffer), m).maxCoeff();
    top = chunk > top ? chunk : top;
  });
  double sum = 0;
  each_chunk(0, n, [&](int64_t i, int64_t m) {
    sum += (in(load(z + i, m, buffer), m) - top).exp().template cast<double>().sum();
  });
  return {top, std::log(sum)};
}

/// dz += or = factor (exp(z - lse) - onehot(label))
template <class T>
void softmax_gradient(const T* z, Compute<T> lse, int64_t label, int64_t n, Compute<T> factor, T* dz,
                      bool accumulate) {
  using C = Compute<T>;
  C buffer[kChunk], result[kChunk];
  each_chunk(0, n, [&](int64_t i, int64_t m) {
    out(result, m) = factor * (in(load(z + i, m, buffer), m) - lse).exp();
    if (label >= i && label < i + m) result[label - i] -= factor;
    store(dz + i, result, m, accumulate);
  });
}

template <class T>
void forward(const CrossEntropyForward& a) {
  using C = Compute<T>;
  parallel_for(a.rows, [&](int64_t r) {
    a.losses[r] = 0;
    if (a.labels[r] < 0) return;
    const T* z = static_cast<const T*>(a.logits) + r * a.stride;
    const LogSumExp<T> s = log_sum_exp(z, a.classes);
    static_cast<C*>(a.lse)[r] = C(double(s.top) + s.rest);
    a.losses[r] =
        s.rest + (double(s.top) - double(widen(z[a.labels[r]])));  // small where the label is the top
  });
}

template <class T>
void backward(const CrossEntropyBackward& a) {
  using C = Compute<T>;
  parallel_for(a.rows, [&](int64_t r) {
    T* dz = static_cast<T*>(a.dlogits) + r * a.dlogits_stride;
    if (a.labels[r] >= 0)
      softmax_gradient(static_cast<const T*>(a.logits) + r * a.stride, static_cast<const C*>(a.lse)[r],
                       a.labels[r], a.classes, C(*a.dloss), dz, a.accumulate);
    else if (!a.accumulate)
      __builtin_memset(static_cast<void*>(dz), 0, size_t(a.classes) * sizeof(T));
  });
}

//   z = cap tanh((x w^T + b) / cap)        dlogits = loss_scale (softmax(z) - onehot) (1 - (z / cap)^2)
template <class T>
void score(const ScoreChunk& a) {
  using C = Compute<T>;
  const double loss_scale = a.scale_memory ? *a.scale_memory : a.loss_scale;
  const C cap = C(a.softcap), scale = C(loss_scale);
  parallel_for(a.rows, [&](int64_t r) {
    C* z = static_cast<C*>(a.logits) + r * a.classes;
    if (a.labels[r] < 0) {
      a.losses[r] = 0;
      if (a.gradient) __builtin_memset(static_cast<void*>(z), 0, size_t(a.classes) * sizeof(T));
      return;
    }
    C top = -HUGE_VAL;
    double sum = 0;
    each_chunk(0, a.vocabulary, [&](int64_t i, int64_t m) {
      auto values = out(z + i, m);
      if (a.bias) values += in(static_cast<const C*>(a.bias) + i, m);
      if (cap > 0) values = cap * (values * (1 / cap)).tanh();
      const C chunk = values.maxCoeff();
      top = chunk > top ? chunk : top;
    });
    const C at_label = z[a.labels[r]];
    C buffer[kChunk];
    each_chunk(0, a.vocabulary, [&](int64_t i, int64_t m) {
      C* e = a.gradient && !(cap > 0) ? z + i : buffer;  // the slope of the cap still needs z
      out(e, m) = (in(z + i, m) - top).exp();
      sum += double(in(e, m).sum());
    });
    a.losses[r] = std::log(sum) + (double(top) - double(at_label));
    if (!a.gradient) return;
    const C factor = C(loss_scale / sum), rest = C(loss_scale / sum - double(factor));
    T* gradient = reinterpret_cast<T*>(z);
    each_chunk(0, a.vocabulary, [&](int64_t i, int64_t m) {
      auto dz = out(z + i, m);
      const int64_t label = a.labels[r] - i;
      const bool here = label >= 0 && label < m;
      if (cap > 0) {
        const C slope = here ? 1 - (z[i + label] / cap) * (z[i + label] / cap) : C(0);
        dz = factor * (dz - top).exp() * (1 - (dz * (1 / cap)).square());
        if (here) dz[label] -= scale * slope;
      } else {
        dz = factor * dz + rest * dz;
        if (here) dz[label] -= scale;
      }
      if constexpr (!std::is_same_v<T, C>) {
        T rounded[kChunk];  // lies over numbers that are done with
        store(rounded, z + i, m, false);
        __builtin_memcpy(static_cast<void*>(gradient + i), rounded, size_t(m) * sizeof(T));
      }
    });
    __builtin_memset(static_cast<void*>(gradient + a.vocabulary), 0,
                     size_t(a.classes - a.vocabulary) * sizeof(T));
  });
}

template <class T>
void sum_columns(const ColumnSums& a) {
  using C = Compute<T>;
  parallel_chunks(a.columns, kChunk, [&](int64_t begin, int64_t end) {
    const int64_t m = end - begin;
    C buffer[kChunk], sums[kChunk];
    out(sums, m).setZero();
    for (int64_t r = 0; r < a.rows; ++r)
      out(sums, m) += in(load(static_cast<const T*>(a.from) + r * a.stride + begin, m, buffer), m);
    store(static_cast<C*>(a.to) + begin, sums, m, a.accumulate);
  });
}

template <class T>
void squared_forward(const SquaredErrorForward& a) {
  using C = Compute<T>;
  parallel_chunks(a.n, kSquaredErrorChunk, [&](int64_t begin, int64_t end) {
    C x_buffer[kChunk], target_buffer[kChunk];
    double sum = 0;
    each_chunk(begin, end, [&](int64_t i, int64_t m) {
      const auto x = in(load(static_cast<const T*>(a.x) + i, m, x_buffer), m);
      const auto target = in(load(static_cast<const T*>(a.target) + i, m, target_buffer), m);
      sum += (x - target).template cast<double>().square().sum();
    });
    a.losses[begin / kSquaredErrorChunk] = sum;
  });
}

template <class T>
void squared_backward(const SquaredErrorBackward& a) {
  using C = Compute<T>;
  parallel_chunks(a.n, kSquaredErrorChunk, [&](int64_t begin, int64_t end) {
    C x_buffer[kChunk], target_buffer[kChunk], result[kChunk];
    each_chunk(begin, end, [&](int64_t i, int64_t m) {
      const auto x = in(load(static_cast<const T*>(a.x) + i, m, x_buffer), m);
      const auto target = in(load(static_cast<const T*>(a.target) + i, m, target_buffer), m);
      out(result, m) = C(2 * a.sign * *a.dloss) * (x - target);
      store(static_cast<T*>(a.gradient) + i, result, m, a.accumulate);
    });
  });
}

}  // namespace

void cross_entropy_forward(const CrossEntropyForward& a) {
  visit_float(a.dtype, [&](auto t) { forward<decltype(t)>(a); });
}
void cross_entropy_backward(const CrossEntropyBackward& a) {
  visit_float(a.dtype, [&](auto t) { backward<decltype(t)>(a); });
}
void score_chunk(const ScoreChunk& a) {
  visit_float(a.dtype, [&](auto t) { score<decltype(t)>(a); });
}
void column_sums(const ColumnSums& a) {
  visit_float(a.dtype, [&](auto t) { sum_columns<decltype(t)>(a); });
}
void squared_error_forward(const SquaredErrorForward& a) {
  visit_float(a.dtype, [&](auto t) { squared_forward<decltype(t)>(a); });
}
void squared_error_backward(const SquaredErrorBackward& a) {
  visit_float(a.dtype, [&](auto t) { squared_backward<decltype(t)>(a); });
}

void add_losses(const AddLosses& a) {
  double sum = 0;
  for (int64_t i = 0; i < a.n; ++i) sum += a.losses[i];
  *a.sum = sum;
}

}  // namespace engine::cpu::ENGINE_ISA
