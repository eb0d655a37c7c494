// SIMD packets of f32 (or f64) straight from and to memory of any floating dtype.
//
// Eigen's packets carry the arithmetic; what it has not are 16-bit loads and stores for every processor
// level. bf16 is the upper half of an f32: widening is a shift, narrowing rounds to nearest even in integer
// arithmetic and keeps NaN, or has an instruction. f16 has instructions from AVX2 on. All give the bits of
// widen() and narrow() (dtype.h), but for denormals. Included by kernel files only (chunk.h says why).
#pragma once

#include <Eigen/Core>

#include "engine/core/dtype.h"
#include "engine/kernel/isa.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace engine::cpu::ENGINE_ISA {

namespace simd = Eigen::internal;
template <class C>
using Packet = typename simd::packet_traits<C>::type;
template <class C>
constexpr int64_t kPacketLanes = simd::packet_traits<C>::size;

ENGINE_INLINE Packet<float> load_packet(const float* p) { return simd::ploadu<Packet<float>>(p); }
ENGINE_INLINE Packet<double> load_packet(const double* p) { return simd::ploadu<Packet<double>>(p); }
ENGINE_INLINE void store_packet(float* p, const Packet<float>& x) { simd::pstoreu(p, x); }
ENGINE_INLINE void store_packet(double* p, const Packet<double>& x) { simd::pstoreu(p, x); }

#if defined(__AVX512BW__)
ENGINE_INLINE Packet<float> load_packet(const bf16* p) {
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(low), 16));
}
ENGINE_INLINE __m256i narrowed_bf16(const Packet<float>& x) {
  const __m512i u = _mm512_castps_si512(x), half = _mm512_add_epi32(u, _mm512_set1_epi32(0x7fff));
  const __mmask16 odd = _mm512_test_epi32_mask(u, _mm512_set1_epi32(0x10000));
  const __m512i rounded = _mm512_mask_add_epi32(half, odd, half, _mm512_set1_epi32(1));
  const __m512i kept =
      _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), u, _mm512_set1_epi32(0x400000));
  const __m512i upper = _mm512_setr_epi32(0x30001, 0x70005, 0xb0009, 0xf000d, 0x130011, 0x170015, 0x1b0019,
                                          0x1f001d, 0, 0, 0, 0, 0, 0, 0, 0);  // words 1, 3, ... 31
  return _mm512_castsi512_si256(_mm512_permutexvar_epi16(upper, kept));
}
/// 16 elements as they lie in memory. The instruction for bf16 takes denormals for zero, as all arithmetic of
/// kernels does; it saves five.
template <class T>
ENGINE_INLINE __m256i narrowed(const Packet<float>& x) {
  if constexpr (std::is_same_v<T, f16>) return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
  if (!bf16_rounding) return narrowed_bf16(x);
  __m256i result;
  asm("vcvtneps2bf16 %1, %0" : "=v"(result) : "v"(x));
  return result;
}
ENGINE_INLINE void store_packet(bf16* p, const Packet<float>& x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrowed<bf16>(x));
}
ENGINE_INLINE Packet<float> load_packet(const f16* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
ENGINE_INLINE void store_packet(f16* p, const Packet<float>& x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrowed<f16>(x));
}
#elif defined(__AVX2__)
ENGINE_INLINE Packet<float> load_packet(const bf16* p) {
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(low), 16));
}
ENGINE_INLINE void store_packet(bf16* p, const Packet<float>& x) {
  const __m256i u = _mm256_castps_si256(x),
                odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const __m256i kept = _mm256_blendv_epi8(rounded, _mm256_or_si256(u, _mm256_set1_epi32(0x400000)), nan);
  const __m256i high = _mm256_srli_epi32(kept, 16);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(high, high), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}
ENGINE_INLINE Packet<float> load_packet(const f16* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
ENGINE_INLINE void store_packet(f16* p, const Packet<float>& x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
#else
#if defined(__SSE2__)
ENGINE_INLINE Packet<float> load_packet(const bf16* p) {
  const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), low));
}
ENGINE_INLINE void store_packet(bf16* p, const Packet<float>& x) {
  const __m128i u = _mm_castps_si128(x), odd = _mm_and_si128(_mm_srli_epi32(u, 16), _mm_set1_epi32(1));
  const __m128i rounded = _mm_add_epi32(_mm_add_epi32(u, _mm_set1_epi32(0x7fff)), odd);
  const __m128i nan = _mm_castps_si128(_mm_cmpunord_ps(x, x));
  const __m128i kept = _mm_or_si128(_mm_andnot_si128(nan, rounded),
                                    _mm_and_si128(nan, _mm_or_si128(u, _mm_set1_epi32(0x400000))));
  const __m128i high = _mm_srai_epi32(kept, 16);  // signed, so that the saturating pack changes nothing
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi32(high, high));
}
#else
ENGINE_INLINE Packet<float> load_packet(const bf16* p) {
  float lanes[kPacketLanes<float>];
  for (int64_t i = 0; i < kPacketLanes<float>; ++i) lanes[i] = widen(p[i]);
  return load_packet(lanes);
}
ENGINE_INLINE void store_packet(bf16* p, const Packet<float>& x) {
  float lanes[kPacketLanes<float>];
  store_packet(lanes, x);
  for (int64_t i = 0; i < kPacketLanes<float>; ++i) p[i] = narrow<bf16>(lanes[i]);
}
#endif
ENGINE_INLINE Packet<float> load_packet(const f16* p) {
  float lanes[kPacketLanes<float>];
  for (int64_t i = 0; i < kPacketLanes<float>; ++i) lanes[i] = widen(p[i]);
  return load_packet(lanes);
}
ENGINE_INLINE void store_packet(f16* p, const Packet<float>& x) {
  float lanes[kPacketLanes<float>];
  store_packet(lanes, x);
  for (int64_t i = 0; i < kPacketLanes<float>; ++i) p[i] = narrow<f16>(lanes[i]);
}
#endif

/// store_packet with denormals kept, for kernels that move numbers and do not compute.
template <class T>
ENGINE_INLINE void keep_packet(T* p, const Packet<Compute<T>>& x) {
#if defined(__AVX512BW__)
  if constexpr (std::is_same_v<T, bf16>)
    return _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrowed_bf16(x));
#endif
  store_packet(p, x);
}

/// The same for the last n < lanes elements of an array; lanes beyond them are zero.
template <class T>
ENGINE_INLINE Packet<Compute<T>> load_part(const T* p, int64_t n) {
  T lanes[kPacketLanes<Compute<T>>] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load_packet(lanes);
}
template <class T>
ENGINE_INLINE void store_part(T* p, const Packet<Compute<T>>& x, int64_t n) {
  T lanes[kPacketLanes<Compute<T>>];
  store_packet(lanes, x);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}

/// One element or a packet of them, by the type of L: for bodies that serve both (row.h, each_packet).
template <class L, class T>
ENGINE_INLINE L load_as(const T* p) {
  if constexpr (std::is_same_v<L, Compute<T>>)
    return widen(*p);
  else
    return load_packet(p);
}
template <class T, class L>
ENGINE_INLINE void store_as(T* p, const L& x) {
  if constexpr (std::is_same_v<L, Compute<T>>)
    *p = narrow<T>(x);
  else
    store_packet(p, x);
}

}  // namespace engine::cpu::ENGINE_ISA
