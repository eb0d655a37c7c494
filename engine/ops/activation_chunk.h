// Activations on a chunk in registers and L1: what activation_cpu.cc and the epilogue of linear apply.
//
//   activation_values(act, x, y, n)            y = act(x)
//   activation_gradients(act, x, dy, dx, n)    dx = dy act'(x)
//   activation_both(act, x, y, d, n)           y = act(x), d = act'(x)
//
// All may work in place. float runs on Eigen packets: gelu within 4e-7 of the exact value relative, tails
// included; double uses the C library. Included by kernel files only (kernel.h says why).
#pragma once

#include <math.h>

#include "engine/cpu/kernel.h"
#include "engine/cpu/tanh.h"
#include "engine/ops/activation_kind.h"

namespace engine::cpu::ENGINE_ISA {

namespace packet = Eigen::internal;

template <class P>
ENGINE_INLINE P constant(typename packet::unpacket_traits<P>::type value) {
  return packet::pset1<P>(value);
}

/// The same formulas serve float packets and plain doubles; each activation gives value y and derivative d.
/// A caller that uses one of the two pays for one: everything is inlined.
struct IdentityActivation {
  template <class P>
  static ENGINE_INLINE void eval(P x, P& y, P& d) {
    y = x, d = constant<P>(1);
  }
};

struct ReluActivation {  // derivative 0 at 0; NaN stays NaN
  template <class P>
  static ENGINE_INLINE void eval(P x, P& y, P& d) {
    const P zero = constant<P>(0), off = packet::pcmp_le(x, zero);
    y = packet::pselect(off, zero, x), d = packet::pselect(off, zero, constant<P>(1));
  }
  static ENGINE_INLINE void eval(double x, double& y, double& d) { y = x <= 0 ? 0 : x, d = x <= 0 ? 0 : 1; }
};

struct Relu2Activation {
  template <class P>
  static ENGINE_INLINE void eval(P x, P& y, P& d) {
    P r, unused;
    ReluActivation::eval(x, r, unused);
    y = r * r, d = r + r;
  }
};

/// s = 1 / (1 + e^-x), s' = s (1 - s) written as (e s) s, which keeps both tails' precision.
template <class P>
ENGINE_INLINE void logistic(P x, P& s, P& ds) {
  const P e = packet::pexp<P>(packet::pmin<Eigen::PropagateNaN>(constant<P>(0) - x, constant<P>(88)));
  s = constant<P>(1) / (constant<P>(1) + e);
  ds = e * s * s;
}
ENGINE_INLINE void logistic(double x, double& s, double& ds) {
  const double e = ::exp(x < -700 ? 700 : -x);
  s = 1 / (1 + e), ds = e * s * s;
}

struct SigmoidActivation {
  template <class P>
  static ENGINE_INLINE void eval(P x, P& y, P& d) {
    logistic(x, y, d);
  }
};

struct SiluActivation {
  template <class P>
  static ENGINE_INLINE void eval(P x, P& y, P& d) {
    P s, ds;
    logistic(x, s, ds);
    y = x * s, d = s + x * ds;
  }
};

struct TanhActivation {  // d = 4 e / (1 + e)^2 with e = exp(-2|x|)
  template <class P>
  static ENGINE_INLINE void eval(P x, P& y, P& d) {
    y = accurate_tanh(x);
    const P e = packet::pexp<P>(constant<P>(-2) * packet::pabs(x)), s = constant<P>(1) / (constant<P>(1) + e);
    d = constant<P>(4) * e * s * s;
  }
  static ENGINE_INLINE void eval(double x, double& y, double& d) {
    y = ::tanh(x);
    const double e = ::exp(-2 * ::fabs(x)), s = 1 / (1 + e);
    d = 4 * e * s * s;
  }
};

struct GeluTanhActivation {  // y = x sigmoid(v), v = 2 sqrt(2/pi) (x + 0.044715 x^3)
  template <class P>
  static ENGINE_INLINE void eval(P x, P& y, P& d) {
    const P a = constant<P>(1.5957691216057307), b = constant<P>(1.5957691216057307 * 0.044715);
    const P x2 = x * x, v = x * (a + b * x2);
    P s, ds;
    logistic(v, s, ds);
    y = x * s, d = s + x * ds * (a + constant<P>(3) * b * x2);
  }
};

/// y = x Phi(x), d = Phi(x) + x phi(x). With a = |x|: Phi(-a) = phi(a) m(a), m the Mills ratio, which is
/// smooth: sqrt(1/2pi) m = t P(t), t = 1 / (1 + 0.35 a), P of degree 8, relative error 3.2e-8 on [0, 14]
/// (least squares reweighted towards the minimax polynomial). exp(-a^2/2) is exp(-h^2/2) times
/// exp(-(a-h)(a+h)/2), h the upper 12 bits of a, because one rounding of a^2/2 = 40 would already cost 2e-6.
struct GeluActivation {
  template <class P>
  static ENGINE_INLINE void eval(P x, P& y, P& d) {
    const P one = constant<P>(1), half = constant<P>(0.5f);
    const P a = packet::pmin<P>(packet::pabs(x), constant<P>(14));
    const P h = packet::pand(a, packet::pset1frombits<P>(0xfffff000u));
    const P r = (h - a) * (h + a) * half;  // -(a^2 - h^2) / 2, in (-0.06, 0]
    const P tail = one + r * (one + r * (half + r * constant<P>(1.f / 6)));
    const P e = packet::pexp<P>(constant<P>(-0.5f) * h * h) * tail;
    const P t = one / (one + constant<P>(0.35f) * a);
    constexpr float c[] = {0.1396214f,  0.13986188f,  0.11983278f, 0.10550836f, -0.02311074f,
                           0.15917555f, -0.25571552f, 0.14397234f, -0.02914607f};
    P p = constant<P>(c[8]);
    for (int i = 7; i >= 0; --i) p = constant<P>(c[i]) + t * p;
    const P lower = e * (t * p);
    const P outside = packet::pselect(packet::pcmp_le(x, constant<P>(0)), lower, one - lower);
    // Up to |x| = 1 the odd Taylor series is nearer still: phi(0) (x - x^3/6 + x^5/40 - ...).
    const P x2 = a * a;
    constexpr float s[] = {0.39894228f,    -0.06649038f,    9.973557e-3f,    -1.1873282e-3f,
                           1.15434688e-4f, -9.444656e-6f, 6.6596935e-7f, -4.1226674e-8f};
    P series = constant<P>(s[7]);
    for (int i = 6; i >= 0; --i) series = constant<P>(s[i]) + x2 * series;
    const P inside = half + x * series;
    const P phi_x = packet::pselect(packet::pcmp_le(a, one), inside, outside);
    y = x * phi_x, d = phi_x + x * e * constant<P>(0.3989422804014327f);
  }
  static ENGINE_INLINE void eval(double x, double& y, double& d) {
    const double phi_x = 0.5 * ::erfc(x * -0.7071067811865475244);
    y = x * phi_x, d = phi_x + x * ::exp(-0.5 * x * x) * 0.39894228040143267794;
  }
};

template <class F>
ENGINE_INLINE void visit_activation(Activation act, F&& f) {
  switch (act) {
    case Activation::identity: return f(IdentityActivation{});
    case Activation::gelu: return f(GeluActivation{});
    case Activation::gelu_tanh: return f(GeluTanhActivation{});
    case Activation::relu: return f(ReluActivation{});
    case Activation::relu2: return f(Relu2Activation{});
    case Activation::silu: return f(SiluActivation{});
    case Activation::tanh: return f(TanhActivation{});
    case Activation::sigmoid: return f(SigmoidActivation{});
  }
}

/// Evaluates n floats packet by packet (the last one padded), or doubles one by one: keep(offset, count, y,
/// d).
template <class A, class G>
ENGINE_INLINE void each_packet(const float* x, int64_t n, G&& keep) {
  using P = typename packet::packet_traits<float>::type;
  constexpr int64_t width = packet::packet_traits<float>::size;
  P y, d;
  int64_t i = 0;
  for (; i + width <= n; i += width) {
    A::eval(packet::ploadu<P>(x + i), y, d);
    keep(i, width, y, d);
  }
  if (i == n) return;
  float last[width] = {};
  for (int64_t j = i; j < n; ++j) last[j - i] = x[j];
  A::eval(packet::ploadu<P>(last), y, d);
  keep(i, n - i, y, d);
}
template <class A, class G>
ENGINE_INLINE void each_packet(const double* x, int64_t n, G&& keep) {
  for (int64_t i = 0; i < n; ++i) {
    double y, d;
    A::eval(x[i], y, d);
    keep(i, int64_t(1), y, d);
  }
}

/// The first n values of a packet to memory.
template <class P>
ENGINE_INLINE void put(float* to, int64_t n, P value) {
  constexpr int64_t width = packet::packet_traits<float>::size;
  if (n == width) return packet::pstoreu(to, value);
  float all[width];
  packet::pstoreu(all, value);
  for (int64_t j = 0; j < n; ++j) to[j] = all[j];
}
ENGINE_INLINE void put(double* to, int64_t, double value) { *to = value; }

template <class P>
ENGINE_INLINE P get(const float* from, int64_t n) {
  constexpr int64_t width = packet::packet_traits<float>::size;
  if (n == width) return packet::ploadu<P>(from);
  float all[width] = {};
  for (int64_t j = 0; j < n; ++j) all[j] = from[j];
  return packet::ploadu<P>(all);
}
template <class P>
ENGINE_INLINE double get(const double* from, int64_t) {
  return *from;
}

template <class C>
static inline void activation_values(Activation act, const C* x, C* y, int64_t n) {
  visit_activation(act, [&](auto a) {
    each_packet<decltype(a)>(x, n, [&](int64_t i, int64_t m, auto value, auto) { put(y + i, m, value); });
  });
}

template <class C>
static inline void activation_gradients(Activation act, const C* x, const C* dy, C* dx, int64_t n) {
  visit_activation(act, [&](auto a) {
    each_packet<decltype(a)>(x, n, [&](int64_t i, int64_t m, auto, auto slope) {
      put(dx + i, m, decltype(slope)(get<decltype(slope)>(dy + i, m) * slope));
    });
  });
}

template <class C>
static inline void activation_both(Activation act, const C* x, C* y, C* d, int64_t n) {
  visit_activation(act, [&](auto a) {
    each_packet<decltype(a)>(x, n, [&](int64_t i, int64_t m, auto value, auto slope) {
      put(y + i, m, value), put(d + i, m, slope);
    });
  });
}

}  // namespace engine::cpu::ENGINE_ISA
