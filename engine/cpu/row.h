// Rows of any floating dtype, and loops over SIMD packets with one body for packets and for the rest.
//
// A row kernel is a template of the compute type only: it loads a row (the memory itself, or widened into a
// buffer), works on it while it is in the L1 cache, and stores the result (nothing to do when it was computed
// in place). The dtype is looked at once per row. Included by x_cpu.cc files only, like chunk.h.
#pragma once

#include "engine/cpu/chunk.h"

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

/// A packet, or one element, of doubles or of what lies in memory; and back (rounded once).
template <class L, class C>
ENGINE_INLINE L load_wide(const C* p) {
  if constexpr (std::is_same_v<typename simd::unpacket_traits<L>::type, C>) {
    return simd::ploadu<L>(p);
  } else if constexpr (std::is_same_v<L, double>) {
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
template <class L, class C>
ENGINE_INLINE void store_narrow(C* p, const L& x) {
  if constexpr (std::is_same_v<typename simd::unpacket_traits<L>::type, C>) {
    simd::pstoreu(p, x);
  } else if constexpr (std::is_same_v<L, double>) {
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

/// The total of four of them, lanes added in double.
template <class C>
ENGINE_INLINE double total_of(const PacketSum<C> (&sums)[4]) {
  constexpr int64_t kLanes = simd::packet_traits<C>::size, kWide = simd::packet_traits<double>::size;
  C lanes[4 * kLanes];
  for (int k = 0; k < 4; ++k) simd::pstoreu(lanes + k * kLanes, sums[k].packet);
  PacketSum<double> total;
  for (int64_t i = 0; i < 4 * kLanes; i += kWide) total.add(load_wide<Packet<double>>(lanes + i));
  return total.total() + double(sums[0].rest);
}

/// The sum of f(lane, i) over [0, n) (each_packet): in C within some thousands of elements, where a lane adds
/// up a few dozen numbers, and in double beyond.
template <class C, class F>
ENGINE_INLINE double sum_of(int64_t n, F&& f) {
  constexpr int64_t kMost = 4096;
  double sum = 0;
  for (int64_t begin = 0; begin < n; begin += kMost) {
    PacketSum<C> sums[4];
    each_packet_by_four<C>(n - begin < kMost ? n - begin : kMost,
                           [&](auto lane, int64_t i, int k) { sums[k].add(f(lane, begin + i)); });
    sum += total_of(sums);
  }
  return sum;
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
