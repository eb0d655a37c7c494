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

/// Factors of the 64 elements that blocks first .. first + 15 decide: philox() of philox.h with one block per
/// SIMD lane.
template <class C>
static inline void dropout_group(uint64_t seed, uint64_t first, uint32_t limit, C keep, C* factor) {
  uint32_t c0[kDropoutBlocks], c1[kDropoutBlocks], c2[kDropoutBlocks], c3[kDropoutBlocks];
  for (int l = 0; l < kDropoutBlocks; ++l) {
    const uint64_t counter = first + uint64_t(l);
    c0[l] = uint32_t(counter), c1[l] = uint32_t(counter >> 32), c2[l] = 0, c3[l] = 0;
  }
  uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int l = 0; l < kDropoutBlocks; ++l) {
      const uint64_t p0 = uint64_t(0xD2511F53u) * c0[l], p1 = uint64_t(0xCD9E8D57u) * c2[l];
      c0[l] = uint32_t(p1 >> 32) ^ c1[l] ^ k0;
      c1[l] = uint32_t(p1);
      c2[l] = uint32_t(p0 >> 32) ^ c3[l] ^ k1;
      c3[l] = uint32_t(p0);
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int l = 0; l < kDropoutBlocks; ++l) {
    factor[4 * l] = (c0[l] >> 8) < limit ? C(0) : keep;
    factor[4 * l + 1] = (c1[l] >> 8) < limit ? C(0) : keep;
    factor[4 * l + 2] = (c2[l] >> 8) < limit ? C(0) : keep;
    factor[4 * l + 3] = (c3[l] >> 8) < limit ? C(0) : keep;
  }
}

/// factor[i] = 0 where element begin + i is dropped, 1 / (1 - p) where it stays.
template <class C>
static inline void dropout_factors(uint64_t seed, uint64_t offset, int64_t begin, int64_t n, double p,
                                   C* factor) {
  const C keep = C(1 / (1 - p));
  const auto limit = uint32_t(__builtin_ceil(p * 16777216.0));  // unit_float(w) < p  <=>  w >> 8 < limit
  constexpr int64_t kGroup = 4 * kDropoutBlocks;
  C group[kGroup];
  for (int64_t i = 0; i < n;) {
    const int64_t skip = (begin + i) % 4,
                  left = n - i;  // elements of the first block that lie before `begin`
    const uint64_t block = offset + uint64_t(begin + i) / 4;
    if (skip == 0 && left >= kGroup) {
      dropout_group(seed, block, limit, keep, factor + i);
      i += kGroup;
      continue;
    }
    dropout_group(seed, block, limit, keep, group);
    const int64_t m = left < kGroup - skip ? left : kGroup - skip;
    __builtin_memcpy(factor + i, group + skip, size_t(m) * sizeof(C));
    i += m;
  }
}

}  // namespace engine::cpu::ENGINE_ISA
