// The dropout mask, drawn again wherever it is needed instead of being stored.
//
// Element e of a tensor (row-major index) is decided by word e % 4 of Philox block offset + e / 4 (philox.h):
// dropped when that word as a number in [0, 1) is below p. So forward, backward and a recomputed forward, on
// any number of threads, agree. Included by x_cpu.cc files only, like kernel.h.
#pragma once

#include "engine/base/philox.h"
#include "engine/cpu/kernel.h"

namespace engine::cpu::ENGINE_ISA {

constexpr int kDropoutBlocks = 16;  // Philox blocks drawn side by side
constexpr int kDropoutGroup = 4 * kDropoutBlocks;

#if defined(__AVX512F__)
constexpr int kPhiloxBytes = 64;
#elif defined(__AVX2__)
constexpr int kPhiloxBytes = 32;
#else
constexpr int kPhiloxBytes = 16;
#endif
constexpr int kPhiloxLanes = kPhiloxBytes / 8;
/// One 32-bit word of kPhiloxLanes blocks, each in the lower half of a 64-bit lane; what is in the upper
/// halves does not matter.
typedef uint64_t PhiloxWords __attribute__((vector_size(kPhiloxBytes)));

/// Lower half times m, all 64 bits of it.
ENGINE_INLINE PhiloxWords wide_product(PhiloxWords x, uint32_t m) {
#if defined(__AVX512F__)
  return PhiloxWords(_mm512_mul_epu32(__m512i(x), _mm512_set1_epi64(m)));
#elif defined(__AVX2__)
  return PhiloxWords(_mm256_mul_epu32(__m256i(x), _mm256_set1_epi64x(m)));
#elif defined(__SSE2__)
  return PhiloxWords(_mm_mul_epu32(__m128i(x), _mm_set1_epi64x(m)));
#else
  return (x & 0xffffffffu) * uint64_t(m);
#endif
}
/// The upper halves moved down (a shuffle, because shifts compete with multiplies for a port).
ENGINE_INLINE PhiloxWords upper_halves(PhiloxWords x) {
#if defined(__AVX512F__)
  return PhiloxWords(_mm512_shuffle_epi32(__m512i(x), _MM_PERM_DDBB));
#elif defined(__AVX2__)
  return PhiloxWords(_mm256_shuffle_epi32(__m256i(x), 0xf5));
#elif defined(__SSE2__)
  return PhiloxWords(_mm_shuffle_epi32(__m128i(x), 0xf5));
#else
  return x >> 32;
#endif
}

/// The words of blocks first .. first + 15, in order: philox() of philox.h with one block per SIMD lane.
static inline void philox_words(uint64_t seed, uint64_t first, uint32_t* words) {
  constexpr int kVectors = kDropoutBlocks / kPhiloxLanes;
  PhiloxWords c0[kVectors], c1[kVectors], c2[kVectors], c3[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    PhiloxWords block = {};
    for (int l = 0; l < kPhiloxLanes; ++l) block[l] = uint64_t(v * kPhiloxLanes + l);
    c0[v] = block + first, c1[v] = c0[v] >> 32, c2[v] = c3[v] = PhiloxWords{};
  }
  uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int v = 0; v < kVectors; ++v) {
      const PhiloxWords p0 = wide_product(c0[v], 0xD2511F53u), p1 = wide_product(c2[v], 0xCD9E8D57u);
      c0[v] = upper_halves(p1) ^ c1[v] ^ uint64_t(k0);
      c1[v] = p1;
      c2[v] = upper_halves(p0) ^ c3[v] ^ uint64_t(k1);
      c3[v] = p0;
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  // Words 0 and 1, words 2 and 3 of a block side by side, then the two pairs.
  for (int v = 0; v < kVectors; ++v) {
    const PhiloxWords low = (c0[v] & 0xffffffffu) | c1[v] << 32, high = (c2[v] & 0xffffffffu) | c3[v] << 32;
    for (int half = 0; half < 2; ++half) {
      PhiloxWords order = {};
      for (int l = 0; l < kPhiloxLanes; ++l)
        order[l] = uint64_t((half * kPhiloxLanes + l) / 2 + l % 2 * kPhiloxLanes);
      const PhiloxWords together = __builtin_shuffle(low, high, order);
      __builtin_memcpy(words + (2 * v + half) * 2 * kPhiloxLanes, &together, sizeof together);
    }
  }
}

/// factor[i] = 0 where element begin + i is dropped, 1 / (1 - p) where it stays.
template <class C>
static inline void dropout_factors(uint64_t seed, uint64_t offset, int64_t begin, int64_t n, double p,
                                   C* factor) {
  const C keep = C(1 / (1 - p));
  // unit_float(w) < p  <=>  w >> 8 < limit  <=>  w <= last
  const uint32_t last = uint32_t(__builtin_ceil(p * 16777216.0)) * 256u - 1;
  uint32_t words[kDropoutGroup];
  for (int64_t i = 0; i < n;) {
    // Elements of the first block that lie before `begin` are skipped.
    const int64_t skip = (begin + i) % 4, left = n - i,
                  m = left < kDropoutGroup - skip ? left : kDropoutGroup - skip;
    philox_words(seed, offset + uint64_t(begin + i) / 4, words);
    if (m == kDropoutGroup)
      for (int j = 0; j < kDropoutGroup; ++j) factor[i + j] = words[j] <= last ? C(0) : keep;
    else
      for (int64_t j = 0; j < m; ++j) factor[i + j] = words[skip + j] <= last ? C(0) : keep;
    i += m;
  }
}

}  // namespace engine::cpu::ENGINE_ISA
