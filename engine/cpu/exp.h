// e^x of f32 packets, to about one unit in the last place, in some dozen instructions (Eigen's takes twice as
// many).
//
// x = n ln 2 + r with n an integer, |r| <= ln 2 / 2; e^x = 2^n e^r. n comes from adding 1.5 2^23, which
// rounds to an integer and leaves it in the low bits; n ln 2 is subtracted in two parts (Cody and Waite); e^r
// is a polynomial of degree 6 with relative error 3e-9 (least squares reweighted towards the minimax
// polynomial). AVX-512 holds a table of 16 numbers in a register: there n is a multiple of 1/16, 2^n comes
// out of the table of 2^(j/16) and a scaling, and degree 3 does for e^r, |r| <= ln 2 / 32. Included by kernel
// files only.
#pragma once

#include <math.h>

#include "engine/cpu/lanes.h"

namespace engine::cpu::ENGINE_ISA {

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
constexpr bool kFusedMultiplyAdd = true;
#else
constexpr bool kFusedMultiplyAdd = false;
#endif

#if defined(__AVX512F__)
/// (1 + q) 2^n for the multiples n of 1/16 whose last four bits are j's; below 2^-126 it becomes 0.
ENGINE_INLINE Packet<float> scaled_power(const Packet<float>& q, const Packet<float>& n,
                                         const Packet<float>& j) {
  const Packet<float> powers =
      _mm512_setr_ps(1.f, 1.0442737f, 1.0905077f, 1.1387886f, 1.1892071f, 1.2418578f, 1.2968396f, 1.3542556f,
                     1.4142135f, 1.4768262f, 1.5422108f, 1.6104903f, 1.6817929f, 1.7562522f, 1.8340081f,
                     1.9152066f);  // 2^(j/16)
  const Packet<float> power = _mm512_permutexvar_ps(_mm512_castps_si512(j), powers);
  return _mm512_scalef_ps(_mm512_fmadd_ps(power, q, power), n);
}

/// e^(x + dx) for |dx| < 0.01, x in [-150, 88.7]; dx may be left out.
template <class P, class... Dx>
ENGINE_INLINE P exp_of_sum(const P& x, const Dx&... dx) {
  const auto c = [](float value) __attribute__((always_inline)) { return simd::pset1<P>(value); };
  const P shifted = x * c(1.44269504f) + c(786432.f), n = shifted - c(786432.f);  // 1.5 2^19: steps of 1/16
  const P r = ((x - n * c(0.693359375f) - n * c(-2.12194440e-4f)) + ... + dx);
  return scaled_power((c(0.16666667f) * r + c(0.50001619f)) * (r * r) + r, n, shifted);
}
#else
/// p 2^n for integers n in [-254, 127], n given as n + 1.5 2^23. Results below 2^-149 become 0.
template <class P>
ENGINE_INLINE P times_power_of_two(const P& p, const P& shifted) {
  // In two factors, because 2^n alone may not be a normal number.
  typedef int32_t Lanes __attribute__((vector_size(sizeof(P))));
  const Lanes whole = __builtin_bit_cast(Lanes, shifted) - 0x4B400000, half = whole >> 1;
  const Lanes first = (half + 127) << 23, second = (whole - half + 127) << 23;
  return p * __builtin_bit_cast(P, first) * __builtin_bit_cast(P, second);
}

/// e^(x + dx) for |dx| < 0.01, x in [-150, 88.7]; dx may be left out.
template <class P, class... Dx>
ENGINE_INLINE P exp_of_sum(const P& x, const Dx&... dx) {
  const auto c = [](float value) __attribute__((always_inline)) { return simd::pset1<P>(value); };
  const P shifted = x * c(1.44269504f) + c(12582912.f), n = shifted - c(12582912.f);
  const P r = ((x - n * c(0.693359375f) - n * c(-2.12194440e-4f)) + ... + dx);
  P p = c(1.3814600e-3f);
  for (const float next : {8.3687156e-3f, 4.1668389e-2f, 0.16666521f, 0.49999994f, 1.f, 1.f})
    p = p * r + c(next);
  return times_power_of_two(p, shifted);
}
#endif

/// e^x for x <= 88.7, NaN for NaN, 0 for -infinity.
template <class P>
ENGINE_INLINE P fast_exp(const P& x) {
  return exp_of_sum(simd::pmax<P>(x, simd::pset1<P>(-105.f)));
}

/// e^x of a packet or of one element, f64 to full precision: for bodies that serve all of them (row.h,
/// each_packet).
ENGINE_INLINE Packet<float> exp_of(const Packet<float>& x) { return fast_exp(x); }
ENGINE_INLINE Packet<double> exp_of(const Packet<double>& x) { return simd::pexp(x); }
ENGINE_INLINE float exp_of(float x) { return ::expf(x); }
ENGINE_INLINE double exp_of(double x) { return ::exp(x); }

}  // namespace engine::cpu::ENGINE_ISA
