// bf16 numbers multiplied in pairs: what VDPBF16PS does to one register. Read before: isa.h (Bf16Product).
//
// A pair holds two neighbours along the axis that is summed, the first in the lower half. What the
// instruction does to a sum, to the last bit: the product of the second elements is added, rounded once, then
// that of the first ones. Denormals count as zero on the way in and on the way out. Emulated, the same by
// multiply-adds of f32 under FlushDenormals: for tests on processors without it. The instruction is a line of
// assembly, so that AVX-512 files need no flag beyond their level's. Included by kernel files only.
#pragma once

#if defined(__AVX512F__)

#include <immintrin.h>

#include <cstdint>

#include "engine/core/dtype.h"
#include "engine/kernel/isa.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

typedef float PairSums __attribute__((vector_size(64)));
typedef uint32_t PairRow __attribute__((vector_size(64)));

/// sum += second(a) second(row), then sum += first(a) first(row)
template <bool Emulated>
ENGINE_INLINE void add_pair_products(PairSums& sum, uint32_t a, const PairRow& row) {
  const PairRow pair = a - PairRow{};
  if constexpr (Emulated) {
    sum = (PairSums)_mm512_fmadd_ps((__m512)(pair & 0xffff0000u), (__m512)(row & 0xffff0000u), (__m512)sum);
    sum = (PairSums)_mm512_fmadd_ps((__m512)(pair << 16), (__m512)(row << 16), (__m512)sum);
  } else {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(row), "v"(pair));
  }
}

}  // namespace
}  // namespace engine::cpu::ENGINE_ISA

#endif
