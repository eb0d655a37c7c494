// Read first: optimizer_kernels.h, engine/cpu/row.h. One pass over memory; an update is a function of one
// packet of every array, so that what happens to an element does not depend on where in the arena it lies.
#include "engine/cpu/row.h"
#include "engine/ops/optimizer_kernels.h"
#include "engine/ops/step_scalars.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

using simd::padd, simd::pdiv, simd::pmadd, simd::pmul, simd::psub, simd::pset1, simd::ploadu, simd::pstoreu;

template <class C>
ENGINE_INLINE Packet<C> all(double value) {
  return pset1<Packet<C>>(C(value));
}
// c - a b
template <class P>
ENGINE_INLINE P minus_product(const P& c, const P& a, const P& b) {
  return pmadd(simd::pnegate(a), b, c);
}

// The gradient after the one multiply: in f32 or f64 as it is, 16 bits rounded to 16 bits.
template <class C, class T>
ENGINE_INLINE const C* rounded_gradient(const T* g, double factor, int64_t n, C* buffer) {
  T low[kChunk];
  widen_n(g, buffer, n);
  out(buffer, n) *= C(factor);
  narrow_n(buffer, low, n);
  widen_n(low, buffer, n);
  return buffer;
}
ENGINE_INLINE double factor_of(const FlatStep& a) { return a.scalars ? a.scalars->factor : 1; }
template <class C>
ENGINE_INLINE const C* gradient(const FlatStep& a, int64_t i, int64_t n, C* buffer) {
  if constexpr (std::is_same_v<C, float>) {
    if (a.gradient_dtype == DType::f16)
      return rounded_gradient(static_cast<const f16*>(a.gradients) + i, factor_of(a), n, buffer);
    if (a.gradient_dtype == DType::bf16)
      return rounded_gradient(static_cast<const bf16*>(a.gradients) + i, factor_of(a), n, buffer);
  }
  return static_cast<const C*>(a.gradients) + i;
}

// update(p, g, first, second) changes all but g; packets.
template <class C, class Update>
ENGINE_INLINE void step_chunk(const C* p, const C* g, const Packet<C>& factor, C* first, C* second, C* target,
                              int64_t n, Update update) {
  constexpr int64_t kLanes = simd::packet_traits<C>::size;
  const auto one = [&](const C* p_in, const C* g_in, C* m, C* v, C* p_out) {
    Packet<C> pp = ploadu<Packet<C>>(p_in), mm = all<C>(0), vv = all<C>(0);
    if (m) mm = ploadu<Packet<C>>(m);
    if (v) vv = ploadu<Packet<C>>(v);
    update(pp, pmul(ploadu<Packet<C>>(g_in), factor), mm, vv);
    pstoreu(p_out, pp);
    if (m) pstoreu(m, mm);
    if (v) pstoreu(v, vv);
  };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    one(p + i, g + i, first ? first + i : nullptr, second ? second + i : nullptr, target + i);
  if (i == n) return;
  C rest[4][kLanes] = {};  // the last, shorter packet goes through the same arithmetic
  const size_t bytes = size_t(n - i) * sizeof(C);
  __builtin_memcpy(rest[0], p + i, bytes);
  __builtin_memcpy(rest[1], g + i, bytes);
  if (first) __builtin_memcpy(rest[2], first + i, bytes);
  if (second) __builtin_memcpy(rest[3], second + i, bytes);
  one(rest[0], rest[1], rest[2], rest[3], rest[0]);
  __builtin_memcpy(target + i, rest[0], bytes);
  if (first) __builtin_memcpy(first + i, rest[2], bytes);
  if (second) __builtin_memcpy(second + i, rest[3], bytes);
}

// Elements [from, to) of the arena.
template <class C, class Update>
ENGINE_INLINE void run_span(const FlatStep& a, int64_t from, int64_t to, Update update) {
  const bool rounded = a.gradient_dtype == DType::f16 || a.gradient_dtype == DType::bf16;
  const Packet<C> factor = all<C>(rounded ? 1 : factor_of(a));
  parallel_chunks(to - from, kGrain, [&](int64_t begin, int64_t end) {
    C p_buffer[kChunk], g_buffer[kChunk];
    each_chunk(from + begin, from + end, [&](int64_t i, int64_t n) {
      const C* p = load_row(a.parameters, a.parameter_dtype, i, n, p_buffer);
      const C* g = gradient(a, i, n, g_buffer);
      C* target = row_target(a.parameters, a.parameter_dtype, i, false, p_buffer);
      C* first = a.first ? static_cast<C*>(a.first) + i : nullptr;
      C* second = a.second ? static_cast<C*>(a.second) + i : nullptr;
      step_chunk(p, g, factor, first, second, target, n, update);
      store_row(a.parameters, a.parameter_dtype, i, target, n, false);
      if (a.low && i >= a.low_begin && i < a.low_end)
        store_row(a.low, a.low_dtype, i - a.low_begin, target, n, false);
    });
  });
}

/// update(decay) of each span, cut where the copies in another dtype begin and end.
template <class C, class Update>
ENGINE_INLINE void run(const FlatStep& a, Update update) {
  if (a.scalars && a.scalars->finite == 0) return;
  int64_t from = 0;
  for (int k = 0; k < kDecaySpans && from < a.n; ++k) {
    const DecaySpan& span = a.spans[k];
    const int64_t cuts[] = {a.low ? a.low_begin : from, a.low ? a.low_end : from, span.end};
    for (const int64_t cut : cuts) {
      const int64_t to = cut < span.end ? cut : span.end;
      if (to > from) run_span<C>(a, from, to, update(span.decay));
      if (to > from) from = to;
    }
  }
}

template <class C>
void adam(const AdamStep& a) {
  using P = Packet<C>;
  const StepScalars& s = *a.flat.scalars;
  const P beta1 = all<C>(a.beta1), rest1 = all<C>(1 - a.beta1), beta2 = all<C>(a.beta2),
          rest2 = all<C>(1 - a.beta2), size = all<C>(s.size), root_scale = all<C>(s.root_scale),
          eps = all<C>(a.eps);
  run<C>(a.flat, [=, &s](double decay) {
    const P shrink = all<C>(s.lr * decay);
    return [=](P& p, const P& g, P& m, P& v) {
      p = minus_product(p, shrink, p);
      m = pmadd(rest1, g, pmul(beta1, m));
      v = pmadd(pmul(rest2, g), g, pmul(beta2, v));
      p = psub(p, pdiv(pmul(size, m), pmadd(root_scale, exact_sqrt(v), eps)));
    };
  });
}

template <class C>
void nag(const NagStep& a) {
  using P = Packet<C>;
  const StepScalars& s = *a.flat.scalars;
  const P buffer_to_p = all<C>(s.buffer_to_p), gradient_to_p = all<C>(s.gradient_to_p),
          buffer_keep = all<C>(s.buffer_keep), lr = all<C>(s.lr);
  run<C>(a.flat, [=, &s](double decay) {
    const P shrink = all<C>(s.lr * decay);
    return [=](P& p, const P& g, P& buffer, P&) {
      p = minus_product(p, shrink, p);
      p = minus_product(pmadd(buffer_to_p, buffer, p), gradient_to_p, g);
      buffer = minus_product(pmul(buffer_keep, buffer), lr, g);
    };
  });
}

template <class C>
void sgd(const SgdStep& a) {
  using P = Packet<C>;
  const P lr = all<C>(a.flat.scalars->lr), momentum = all<C>(a.momentum);
  run<C>(a.flat, [=](double decay) {
    const P weight_decay = all<C>(decay);
    return [=](P& p, const P& g, P& buffer, P&) {
      buffer = pmadd(momentum, buffer, pmadd(weight_decay, p, g));
      p = minus_product(p, lr, buffer);
    };
  });
}

template <class C>
void ema(const EmaStep& a) {
  using P = Packet<C>;
  const P decay = all<C>(a.decay), rest = all<C>(1 - a.decay);
  run<C>(a.flat, [=](double) {
    return [=](P& average, const P& p, P&, P&) { average = pmadd(rest, p, pmul(decay, average)); };
  });
}

// Eight squares at a time in double, whatever the processor has.
typedef double Double8 __attribute__((vector_size(64)));
typedef float Float8 __attribute__((vector_size(32)));

ENGINE_INLINE void load_eight(const float* x, Double8& to) {
  Float8 v;
  __builtin_memcpy(&v, x, sizeof v);
  to = __builtin_convertvector(v, Double8);
}
ENGINE_INLINE void load_eight(const double* x, Double8& to) { __builtin_memcpy(&to, x, sizeof to); }

template <class C>
double squares_of(const C* x, int64_t n) {
  Double8 even = {}, odd = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    Double8 a, b;
    load_eight(x + i, a);
    load_eight(x + i + 8, b);
    even += a * a;
    odd += b * b;
  }
  even += odd;
  double sum = 0;
  for (int lane = 0; lane < 8; ++lane) sum += even[lane];
  for (; i < n; ++i) sum += double(x[i]) * double(x[i]);
  return sum;
}

template <class C>
void squares(const SumOfSquares& a) {
  parallel_chunks(a.n, kSquaresGrain, [&](int64_t begin, int64_t end) {
    C buffer[kChunk];
    double sum = 0;
    each_chunk(begin, end,
               [&](int64_t i, int64_t n) { sum += squares_of(load_row(a.x, a.dtype, i, n, buffer), n); });
    a.partials[begin / kSquaresGrain] = sum;
  });
}

}  // namespace

void adam_step(const AdamStep& a) { a.flat.parameter_dtype == DType::f64 ? adam<double>(a) : adam<float>(a); }
void nag_step(const NagStep& a) { a.flat.parameter_dtype == DType::f64 ? nag<double>(a) : nag<float>(a); }
void sgd_step(const SgdStep& a) { a.flat.parameter_dtype == DType::f64 ? sgd<double>(a) : sgd<float>(a); }
void ema_step(const EmaStep& a) { a.flat.parameter_dtype == DType::f64 ? ema<double>(a) : ema<float>(a); }
void form_factor(const FormFactor& a) {
  double sum = 0;
  for (int64_t i = 0; i < a.n; ++i) sum += a.partials[i];
  StepScalars& s = *a.scalars;
  const GradientFactor formed = gradient_factor(s.loss_scale, s.scored, __builtin_sqrt(sum), a.clipping);
  s.norm = formed.norm, s.factor = formed.factor, s.unclipped = formed.unclipped;
  s.finite = __builtin_isfinite(formed.norm);
}
void sum_of_squares(const SumOfSquares& a) { a.dtype == DType::f64 ? squares<double>(a) : squares<float>(a); }

}  // namespace engine::cpu::ENGINE_ISA
