// The tail of the normal distribution in f32 packets, for GELU: with a >= 0,
//
//   Phi(-a) = e^(-a^2/2) m(a)        m: the Mills ratio over sqrt(2 pi), smooth, 1/2 at 0 and then less
//
// to about one unit in the last place, however small Phi(-a) is: a^2 is taken with its rounding error, which
// in e^(-a^2/2) would cost 2e-6. Read first: exp.h. Included by kernel files only.
#pragma once

#include "engine/cpu/exp.h"

namespace engine::cpu::ENGINE_ISA {

#if defined(__AVX512F__)
// m on [0, 15) in 32 intervals, eight to a power of two of 1 + a: polynomials of degree 4 in the distance
// from an interval's lower end, through the Chebyshev nodes (relative error 3e-9 near 0, at most 6e-8). Row
// k: the coefficients of power 4 - k, looked up by the bits of 1 + a from 2^20 on, so [1, 3) comes first.
// clang-format off
alignas(64) inline constexpr float kMills[5][32] = {
    {0.0075101606f, 0.005004805f, 0.0034044152f, 0.002360509f, 0.001666113f, 0.00119565f, 0.00087137776f, 0.0006442423f,
     0.0004210022f, 0.0002478904f, 0.00015223498f, 9.699412e-5f, 6.382614e-5f, 4.3212996e-5f, 3.000404e-5f, 2.1305306e-5f,
     1.3273423e-5f, 7.452343e-6f, 4.4265025e-6f, 2.7551448e-6f, 1.7837386e-6f, 1.1942333e-6f, 8.2298806e-7f, 5.815721e-7f,
     0.05481135f, 0.0423159f, 0.03290042f, 0.025755413f, 0.02029601f, 0.016096637f, 0.012845501f, 0.010312627f},
    {-0.024719369f, -0.017298624f, -0.012348274f, -0.0089777475f, -0.0066387644f, -0.0049865893f, -0.0038001286f, -0.0029349136f,
     -0.0022546288f, -0.0014291619f, -0.00094183383f, -0.00064189575f, -0.00045044257f, -0.00032426303f, -0.00023872202f, -0.00017926212f,
     -0.00013418452f, -8.2328064e-5f, -5.3100946e-5f, -3.568839e-5f, -2.4824505e-5f, -1.7777436e-5f, -1.3051928e-5f, -9.7911925e-6f,
     -0.1321609f, -0.10489486f, -0.083839506f, -0.067465216f, -0.05464408f, -0.04453852f, -0.036522254f, -0.030123867f},
    {0.062075056f, 0.046302486f, 0.03517382f, 0.027168734f, 0.021306964f, 0.016943438f, 0.013645496f, 0.011117708f,
     0.0091466f, 0.006382422f, 0.0046029408f, 0.0034141762f, 0.002594206f, 0.0020126565f, 0.0015900414f, 0.0012762801f,
     0.0010377164f, 0.000712948f, 0.0005097168f, 0.00037644355f, 0.0002856022f, 0.00022164508f, 0.00017536117f, 0.00014106731f,
     0.24996382f, 0.20548083f, 0.17006625f, 0.14167586f, 0.11876424f, 0.10015489f, 0.08494609f, 0.072442114f},
    {-0.13736299f, -0.11049125f, -0.09027088f, -0.0747866f, -0.0627381f, -0.053225297f, -0.045613866f, -0.0394492f,
     -0.034399834f, -0.02673392f, -0.021299534f, -0.017326908f, -0.01434569f, -0.012057422f, -0.010266367f, -0.008840373f,
     -0.0076877354f, -0.0059618265f, -0.0047531356f, -0.0038753138f, -0.0032184795f, -0.002714618f, -0.0023198859f, -0.002005029f,
     -0.39894173f, -0.3422177f, -0.29543394f, -0.25659037f, -0.22413267f, -0.19684453f, -0.17376782f, -0.15414295f},
    {0.2615783f, 0.23076032f, 0.20578067f, 0.18523167f, 0.168102f, 0.15365194f, 0.14133133f, 0.13072473f,
     0.12151394f, 0.10634515f, 0.09441064f, 0.08480339f, 0.0769193f, 0.0703427f, 0.06477931f, 0.060015675f,
     0.05589348f, 0.049122546f, 0.04379879f, 0.039506692f, 0.03597489f, 0.033018973f, 0.030509414f, 0.028352661f,
     0.5f, 0.45379323f, 0.4140321f, 0.37960443f, 0.34961882f, 0.32335618f, 0.30023247f, 0.27977058f},
};
// clang-format on

ENGINE_INLINE Packet<float> mills_ratio(const Packet<float>& a) {
  const Packet<float> v = a + simd::pset1<Packet<float>>(1.f);
  const __m512i bits = _mm512_castps_si512(v), interval = _mm512_srli_epi32(bits, 20);
  const Packet<float> r = v - _mm512_castsi512_ps(_mm512_and_epi32(bits, _mm512_set1_epi32(int(0xfff00000))));
  const auto coefficient = [&](int k) __attribute__((always_inline)) {
    return _mm512_permutex2var_ps(_mm512_load_ps(kMills[k]), interval, _mm512_load_ps(kMills[k] + 16));
  };
  Packet<float> m = coefficient(0);
  for (int k = 1; k < 5; ++k) m = _mm512_fmadd_ps(m, r, coefficient(k));
  return m;
}

/// e^(-a^2/2): exp_of_sum (exp.h) of -a^2/2, the factor -1/2 taken into its constants. n times the upper part
/// of 2 ln 2 is exact, so a^2 is rounded once that is added.
ENGINE_INLINE Packet<float> gaussian(const Packet<float>& a) {
  const auto c = [](float value) __attribute__((always_inline)) { return simd::pset1<Packet<float>>(value); };
  const Packet<float> shifted = a * a * c(-0.72134752f) + c(786432.f), n = shifted - c(786432.f);
  const Packet<float> r = _mm512_fmadd_ps(n, c(-4.2438888e-4f), _mm512_fmadd_ps(a, a, n * c(1.38671875f)));
  return scaled_power(((c(-0.020833334f) * r + c(0.12500405f)) * r - c(0.5f)) * r, n, shifted);
}
#else
/// t P(t), t = 1 / (1 + 0.35 a), P of degree 8, relative error 3.2e-8 on [0, 14] (least squares reweighted
/// towards the minimax polynomial).
template <class P>
ENGINE_INLINE P mills_ratio(const P& a) {
  const auto c = [](float value) __attribute__((always_inline)) { return simd::pset1<P>(value); };
  const P t = c(1.f) / (c(1.f) + c(0.35f) * a);
  P p = c(-0.02914607f);
  for (const float next : {0.14397234f, -0.25571552f, 0.15917555f, -0.02311074f, 0.10550836f, 0.11983278f,
                           0.13986188f, 0.1396214f})
    p = p * t + c(next);
  return p * t;
}

/// a^2 - s where s is a^2 rounded, exactly: one fused multiply-add, or Dekker's splitting into halves.
template <class P>
ENGINE_INLINE P square_error(const P& a, const P& s) {
  if constexpr (kFusedMultiplyAdd) return simd::pmadd<P>(a, a, simd::pnegate(s));
  const P high = simd::pand<P>(a, simd::pset1frombits<P>(0xfffff000u)), low = a - high;
  return ((high * high - s) + (low + low) * high) + low * low;
}

/// e^(-a^2/2)
template <class P>
ENGINE_INLINE P gaussian(const P& a) {
  const P s = a * a, half = simd::pset1<P>(-0.5f);
  return exp_of_sum<P>(half * s, half * square_error(a, s));
}
#endif

template <class P>
struct NormalTail {
  P density;  // e^(-a^2/2)
  P tail;     // Phi(-a)
};

/// For a in [0, 14.5], where both have become 0 in f32.
template <class P>
ENGINE_INLINE NormalTail<P> normal_tail(const P& a) {
  const P density = gaussian(a);
  return {density, density * mills_ratio(a)};
}

}  // namespace engine::cpu::ENGINE_ISA
