// Rows of any floating dtype, and loops over SIMD packets with one body for packets and for the rest.
//
// A row kernel is a template of the compute type only: it loads a row (the memory itself, or widened into a
// buffer), works on it while it is in the L1 cache, and stores the result (nothing to do when it was computed
// in place). The dtype is looked at once per row. Included by x_cpu.cc files only, like kernel.h.
#pragma once

#include "engine/cpu/kernel.h"

namespace engine::cpu::ENGINE_ISA {

/// Calls f(Packet{}, i) for whole packets of [0, n), then f(C{}, i) for what is left. Eigen's packet
/// functions take both: ploadu<decltype(lane)>(p + i), pmadd, pset1, ...
template <class C, class F>
ENGINE_INLINE void each_packet(int64_t n, F&& f) {
  constexpr int64_t kLanes = simd::packet_traits<C>::size;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) f(Packet<C>{}, i);
  for (; i < n; ++i) f(C{}, i);
}

/// The same with f(lane, i, k), k = 0, 1, 2, 3, 0, ... for packets and 0 for the rest: for sums, whose
/// latency four of them side by side hide.
template <class C, class F>
ENGINE_INLINE void each_packet_by_four(int64_t n, F&& f) {
  constexpr int64_t kLanes = simd::packet_traits<C>::size;
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    f(Packet<C>{}, i, 0), f(Packet<C>{}, i + kLanes, 1);
    f(Packet<C>{}, i + 2 * kLanes, 2), f(Packet<C>{}, i + 3 * kLanes, 3);
  }
  for (; i + kLanes <= n; i += kLanes) f(Packet<C>{}, i, 0);
  for (; i < n; ++i) f(C{}, i, 0);
}

/// The correctly rounded square root. (Eigen's psqrt for AVX-512 is an approximation that turns infinity into
/// NaN and subnormals into zero.)
ENGINE_INLINE float exact_sqrt(float x) { return std::sqrt(x); }
ENGINE_INLINE double exact_sqrt(double x) { return std::sqrt(x); }
#if defined(__AVX512F__)
ENGINE_INLINE Packet<float> exact_sqrt(const Packet<float>& x) { return _mm512_sqrt_ps(x); }
ENGINE_INLINE Packet<double> exact_sqrt(const Packet<double>& x) { return _mm512_sqrt_pd(x); }
#elif defined(__AVX__)
ENGINE_INLINE Packet<float> exact_sqrt(const Packet<float>& x) { return _mm256_sqrt_ps(x); }
ENGINE_INLINE Packet<double> exact_sqrt(const Packet<double>& x) { return _mm256_sqrt_pd(x); }
#elif defined(__SSE2__)
ENGINE_INLINE Packet<float> exact_sqrt(const Packet<float>& x) { return _mm_sqrt_ps(x); }
ENGINE_INLINE Packet<double> exact_sqrt(const Packet<double>& x) { return _mm_sqrt_pd(x); }
#else
template <class P>
ENGINE_INLINE P exact_sqrt(const P& x) {
  return simd::psqrt(x);
}
#endif

/// A packet of doubles, or one, from f64 or f32 memory, and back (rounded once).
template <class L>
ENGINE_INLINE L load_wide(const double* p) {
  return simd::ploadu<L>(p);
}
template <class L>
ENGINE_INLINE L load_wide(const float* p) {
  if constexpr (std::is_same_v<L, double>) {
    return double(*p);
  } else {
#if defined(__AVX512F__)
    return _mm512_cvtps_pd(_mm256_loadu_ps(p));
#elif defined(__AVX__)
    return _mm256_cvtps_pd(_mm_loadu_ps(p));
#else
    constexpr int kLanes = simd::packet_traits<double>::size;
    double wide[kLanes];
    for (int i = 0; i < kLanes; ++i) wide[i] = double(p[i]);
    return simd::ploadu<L>(wide);
#endif
  }
}
template <class L>
ENGINE_INLINE void store_narrow(double* p, const L& x) {
  simd::pstoreu(p, x);
}
template <class L>
ENGINE_INLINE void store_narrow(float* p, const L& x) {
  if constexpr (std::is_same_v<L, double>) {
    *p = float(x);
  } else {
#if defined(__AVX512F__)
    _mm256_storeu_ps(p, _mm512_cvtpd_ps(x));
#elif defined(__AVX__)
    _mm_storeu_ps(p, _mm256_cvtpd_ps(x));
#else
    constexpr int kLanes = simd::packet_traits<double>::size;
    double wide[kLanes];
    simd::pstoreu(wide, x);
    for (int i = 0; i < kLanes; ++i) p[i] = float(wide[i]);
#endif
  }
}

/// A sum of packets and of single elements.
template <class C>
struct PacketSum {
  Packet<C> packet = simd::pset1<Packet<C>>(C(0));
  C rest = 0;
  ENGINE_INLINE void add(const Packet<C>& x) { packet = simd::padd(packet, x); }
  ENGINE_INLINE void add(C x) { rest += x; }
  ENGINE_INLINE C total() const { return simd::predux(packet) + rest; }
};

/// The total of four of them.
template <class C>
ENGINE_INLINE C total_of(PacketSum<C> (&sums)[4]) {
  for (int k = 1; k < 4; ++k) sums[0].add(sums[k].packet);
  return sums[0].total();
}

/// n elements from `offset` on as C: the elements themselves, or widened into `buffer`.
template <class C>
ENGINE_INLINE const C* load_row(const void* p, DType dtype, int64_t offset, int64_t n, C* buffer) {
  if constexpr (std::is_same_v<C, float>) {
    if (dtype == DType::bf16) return load(static_cast<const bf16*>(p) + offset, n, buffer);
    if (dtype == DType::f16) return load(static_cast<const f16*>(p) + offset, n, buffer);
  }
  return static_cast<const C*>(p) + offset;
}

/// Where to compute a row that goes to p: the memory itself, or `buffer` when it has to be narrowed or added.
template <class C>
ENGINE_INLINE C* row_target(void* p, DType dtype, int64_t offset, bool accumulate, C* buffer) {
  return dtype == dtype_of<C>() && !accumulate ? static_cast<C*>(p) + offset : buffer;
}

/// Finishes what row_target() began.
template <class C>
ENGINE_INLINE void store_row(void* p, DType dtype, int64_t offset, const C* values, int64_t n,
                             bool accumulate) {
  if constexpr (std::is_same_v<C, float>) {
    if (dtype == DType::bf16) return store(static_cast<bf16*>(p) + offset, values, n, accumulate);
    if (dtype == DType::f16) return store(static_cast<f16*>(p) + offset, values, n, accumulate);
  }
  store(static_cast<C*>(p) + offset, values, n, accumulate);
}

}  // namespace engine::cpu::ENGINE_ISA
