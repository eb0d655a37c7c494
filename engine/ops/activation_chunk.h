// Activations on a chunk in registers and L1: what activation_cpu.cc and the epilogue of linear apply.
//
//   activation_gradients(act, x, dy, dx, n)    dx = dy act'(x)
//   each_activation(act, x, n, keep)           keep(i, count, act(x_i), act'(x_i)), a packet at a time
//
// All may work in place, on any floating dtype: 16 bits are widened and rounded in registers (lanes.h). float
// runs on Eigen packets: gelu within 5e-7 of the exact value relative, tails included; double uses the C
// library. Included by kernel files only (chunk.h says why).
#pragma once

#include <math.h>

#include "engine/cpu/chunk.h"
#include "engine/cpu/normal_tail.h"
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
  const P e = fast_exp(packet::pmin<P>(constant<P>(0) - x, constant<P>(88)));
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
    const P e = fast_exp<P>(constant<P>(-2) * packet::pabs(x)), s = constant<P>(1) / (constant<P>(1) + e);
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

/// y = x Phi(x), d = Phi(x) + x phi(x), from the tail beyond a = |x|: with u = Phi(-a) - a phi(a),
///   y = max(x, 0) - a Phi(-a)        d = u for x < 0, 1 - u otherwise
struct GeluActivation {
  template <class P>
  static ENGINE_INLINE void eval(P x, P& y, P& d) {
    const P zero = constant<P>(0), a = packet::pmin<P>(packet::pabs(x), constant<P>(14.5f));
    const NormalTail<P> t = normal_tail(a);
    y = packet::pmax<P>(zero, x) - a * t.tail;
    const P u = t.tail - a * (t.density * constant<P>(0.3989422804014327f));
    d = packet::pselect(packet::pcmp_lt(x, zero), u, constant<P>(1) - u);
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

/// The first n values of a packet from memory and to memory; doubles one by one.
template <class P, class T>
ENGINE_INLINE P get(const T* from, int64_t n) {
  return n == kPacketLanes<float> ? load_packet(from) : load_part(from, n);
}
template <class P>
ENGINE_INLINE double get(const double* from, int64_t) {
  return *from;
}
template <class T, class P>
ENGINE_INLINE void put(T* to, int64_t n, const P& value) {
  n == kPacketLanes<float> ? store_packet(to, value) : store_part(to, value, n);
}
ENGINE_INLINE void put(double* to, int64_t, double value) { *to = value; }

struct FloatPacket {
  using type = packet::packet_traits<float>::type;
  static constexpr int64_t width = kPacketLanes<float>;
};
struct OneDouble {
  using type = double;
  static constexpr int64_t width = 1;
};

/// For i over [0, n), a packet at a time (doubles one by one): x = read(P{}, i, count), keep(i, count, x,
/// act(x), act'(x)).
template <class A, class C, class Read, class Keep>
ENGINE_INLINE void each_read(int64_t n, Read&& read, Keep&& keep) {
  using Lanes = std::conditional_t<std::is_same_v<C, double>, OneDouble, FloatPacket>;
  using P = typename Lanes::type;
  constexpr int64_t width = Lanes::width;
  const auto at = [&](int64_t i, int64_t count) __attribute__((always_inline)) {
    const P x = read(P{}, i, count);
    P y, d;
    A::eval(x, y, d);
    keep(i, count, x, y, d);
  };
  int64_t i = 0;
  for (; i + width <= n; i += width) at(i, width);
  if (i < n) at(i, n - i);
}

template <class T, class G>
ENGINE_INLINE void each_activation(Activation act, const T* x, int64_t n, G&& keep) {
  const auto read = [&](auto lane, int64_t i, int64_t m) { return get<decltype(lane)>(x + i, m); };
  visit_activation(act, [&](auto a) {
    each_read<decltype(a), Compute<T>>(
        n, read, [&](int64_t i, int64_t m, const auto&, const auto& y, const auto& d) { keep(i, m, y, d); });
  });
}

template <class T>
static inline void activation_gradients(Activation act, const T* x, const T* dy, T* dx, int64_t n) {
  each_activation(act, x, n, [&](int64_t i, int64_t m, const auto&, const auto& slope) {
    using P = std::decay_t<decltype(slope)>;
    put(dx + i, m, P(get<P>(dy + i, m) * slope));
  });
}

}  // namespace engine::cpu::ENGINE_ISA
