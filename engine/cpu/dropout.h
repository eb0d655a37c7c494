// The dropout mask, drawn again wherever it is needed instead of being stored.
//
// Element e of a tensor (row-major index) is decided by word e % 4 of Philox block offset + e / 4 (philox.h):
// dropped when that word as a number in [0, 1) is below p. So forward, backward and a recomputed forward, on
// any number of threads, agree. Included by x_cpu.cc files only, like kernel.h.
#pragma once

#include "engine/base/philox.h"
#include "engine/cpu/kernel.h"

namespace engine::cpu::ENGINE_ISA {

/// factor[i] = 0 where element begin + i is dropped, 1 / (1 - p) where it stays.
template <class C>
static inline void dropout_factors(uint64_t seed, uint64_t offset, int64_t begin, int64_t n, double p,
                                   C* factor) {
  const C keep = C(1 / (1 - p));
  const auto limit = uint32_t(__builtin_ceil(p * 16777216.0));  // unit_float(w) < p  <=>  w >> 8 < limit
  for (int64_t i = 0; i < n;) {
    const int64_t element = begin + i;
    const PhiloxBits bits = philox(seed, offset + uint64_t(element) / 4);
    for (int64_t w = element % 4; w < 4 && i < n; ++w, ++i)
      factor[i] = (bits.word[w] >> 8) < limit ? C(0) : keep;
  }
}

}  // namespace engine::cpu::ENGINE_ISA
