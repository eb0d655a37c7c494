// The dropout mask, drawn again wherever it is needed instead of being stored.
//
// Element e of a tensor (row-major index) is decided by word e % 4 of Philox block offset + e / 4 (philox.h):
// dropped when that word as a number in [0, 1) is below p. So forward, backward and a recomputed forward, on
// any number of threads, agree. Included by x_cpu.cc files only, like chunk.h.
#pragma once

#include "engine/base/philox.h"
#include "engine/cpu/chunk.h"

namespace engine::cpu::ENGINE_ISA {

#if defined(__AVX512F__)
constexpr int kPhiloxBytes = 64;
#elif defined(__AVX2__)
constexpr int kPhiloxBytes = 32;
#else
constexpr int kPhiloxBytes = 16;
#endif
constexpr int kPhiloxLanes = kPhiloxBytes / 8;
// Blocks drawn side by side: in four registers of each word, because a round waits long for its products.
constexpr int kDropoutBlocks = 4 * kPhiloxLanes, kDropoutGroup = 4 * kDropoutBlocks;
/// One 32-bit word of kPhiloxLanes blocks, each in the lower half of a 64-bit lane; what is in the upper
/// halves does not matter.
typedef uint64_t PhiloxWords __attribute__((vector_size(kPhiloxBytes)));

/// Lower half times m, all 64 bits of it.
ENGINE_INLINE PhiloxWords wide_product(PhiloxWords x, uint32_t m) {
#if defined(__AVX512F__)
  return PhiloxWords(_mm512_maskz_mul_epu32(0xff, __m512i(x), _mm512_set1_epi64(m)));
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
  return PhiloxWords(_mm512_maskz_shuffle_epi32(0xffff, __m512i(x), _MM_PERM_DDBB));
#elif defined(__AVX2__)
  return PhiloxWords(_mm256_shuffle_epi32(__m256i(x), 0xf5));
#elif defined(__SSE2__)
  return PhiloxWords(_mm_shuffle_epi32(__m128i(x), 0xf5));
#else
  return x >> 32;
#endif
}

/// As many words of consecutive elements as a register holds.
constexpr int kWordsTogether = 2 * kPhiloxLanes;
typedef uint32_t WordsTogether __attribute__((vector_size(kPhiloxBytes)));

/// The keys of the ten rounds.
struct PhiloxKeys {
  uint64_t first[10], second[10];
  explicit PhiloxKeys(uint64_t seed) {
    uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
    for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
      first[round] = k0, second[round] = k1;
  }
};

/// Calls keep(i, words i .. i + kWordsTogether) for the words of kDropoutBlocks blocks from `first` on:
/// philox() of philox.h with one block per SIMD lane.
template <class Keep>
ENGINE_INLINE void philox_words(const PhiloxKeys& keys, uint64_t first, Keep&& keep) {
  constexpr int kVectors = kDropoutBlocks / kPhiloxLanes;
  PhiloxWords c0[kVectors], c1[kVectors], c2[kVectors], c3[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    PhiloxWords block = {};
    for (int l = 0; l < kPhiloxLanes; ++l) block[l] = uint64_t(v * kPhiloxLanes + l);
    c0[v] = block + first, c1[v] = c0[v] >> 32, c2[v] = c3[v] = PhiloxWords{};
  }
  for (int round = 0; round < 10; ++round)
    for (int v = 0; v < kVectors; ++v) {
      const PhiloxWords p0 = wide_product(c0[v], 0xD2511F53u), p1 = wide_product(c2[v], 0xCD9E8D57u);
      c0[v] = upper_halves(p1) ^ c1[v] ^ keys.first[round];
      c1[v] = p1;
      c2[v] = upper_halves(p0) ^ c3[v] ^ keys.second[round];
      c3[v] = p0;
    }
  // Words 0 and 1, words 2 and 3 of a block side by side, then the two pairs.
  for (int v = 0; v < kVectors; ++v) {
    const PhiloxWords low = (c0[v] & 0xffffffffu) | c1[v] << 32, high = (c2[v] & 0xffffffffu) | c3[v] << 32;
    for (int half = 0; half < 2; ++half) {
      PhiloxWords order = {};
      for (int l = 0; l < kPhiloxLanes; ++l)
        order[l] = uint64_t((half * kPhiloxLanes + l) / 2 + l % 2 * kPhiloxLanes);
#if defined(__clang__)  // which builds the fuzz targets only, and cannot shuffle by a vector
      PhiloxWords together = {};
      for (int l = 0; l < kPhiloxLanes; ++l)
        together[l] = order[l] < kPhiloxLanes ? low[order[l]] : high[order[l] - kPhiloxLanes];
#else
      const PhiloxWords together = __builtin_shuffle(low, high, order);
#endif
      keep((2 * v + half) * kWordsTogether, WordsTogether(together));
    }
  }
}

/// factor[i] = 0 where element begin + i is dropped, 1 / (1 - p) where it stays.
template <class C>
static inline void dropout_factors(uint64_t seed, uint64_t offset, int64_t begin, int64_t n, double p,
                                   C* factor) {
  const PhiloxKeys keys(seed);
  const C stays = C(1 / (1 - p));
  // unit_float(w) < p  <=>  w >> 8 < limit  <=>  w <= last
  const uint32_t last = uint32_t(__builtin_ceil(p * 16777216.0)) * 256u - 1;
  for (int64_t i = 0; i < n;) {
    // Elements of the first block that lie before `begin` are skipped.
    const int64_t skip = (begin + i) % 4, left = n - i,
                  m = left < kDropoutGroup - skip ? left : kDropoutGroup - skip;
    C group[kDropoutGroup];
    C* to = m == kDropoutGroup ? factor + i : group;
    philox_words(keys, offset + uint64_t(begin + i) / 4, [&](int at, WordsTogether words) {
      for (int j = 0; j < kWordsTogether; ++j) to[at + j] = words[j] <= last ? C(0) : stays;
    });
    if (to == group) __builtin_memcpy(factor + i, group + skip, size_t(m) * sizeof(C));
    i += m;
  }
}

}  // namespace engine::cpu::ENGINE_ISA
