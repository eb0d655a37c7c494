// bf16 numbers multiplied in pairs: what VDPBF16PS does to one register. Read before: isa.h (Bf16Product).
//
// A pair holds two neighbours along the axis that is summed, the first in the lower half. Emulated, the same
// arithmetic in f32 (but for denormals, which the instruction flushes): for tests on processors without it.
// The instruction is a line of assembly, so that AVX-512 files need no flag beyond their level's. Included by
// kernel files only.
#pragma once

#if defined(__AVX512F__)

#include <cstdint>

#include "engine/core/dtype.h"
#include "engine/kernel/isa.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

typedef float PairSums __attribute__((vector_size(64)));
typedef uint32_t PairRow __attribute__((vector_size(64)));

/// sum += first(a) first(row) + second(a) second(row)
template <bool Emulated>
ENGINE_INLINE void add_pair_products(PairSums& sum, uint32_t a, const PairRow& row) {
  const PairRow pair = a - PairRow{};
  if constexpr (Emulated) {
    sum += (PairSums)(pair & 0xffff0000u) * (PairSums)(row & 0xffff0000u);
    sum += (PairSums)(pair << 16) * (PairSums)(row << 16);
  } else {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(row), "v"(pair));
  }
}

}  // namespace
}  // namespace engine::cpu::ENGINE_ISA

#endif
