// Products of bf16 on a processor's tile registers (AMX). Read before: isa.h (Bf16Product). Who packs for
// them: tile_pack.h, engine/ops/attention_tile.h.
//
// A tile holds 16 rows of 64 bytes. TDPBF16PS adds to a tile of 16 x 16 sums the product of 16 rows of 32
// elements of A (along k as they lie) and 16 pairs of k of 16 columns of B (a pair as in bf16_pairs.h). Two
// tiles of A and two of B feed four of sums: one load for each product, which takes twice as long.
//
// What the instruction does to a sum, to the last bit: the first elements of the 16 pairs are multiplied and
// added from zero up, one rounding each; so are the second ones; the two are added, and what they make is
// added to the sum. Denormals count as zero on the way in and on the way out. Emulated, the same by AVX-512
// under FlushDenormals. A product's bits therefore depend on nothing but where its steps of 32 k begin.
//
// The instructions are lines of assembly, so that AVX-512 files need no flag beyond their level's. Included
// by kernel files only.
#pragma once

#if defined(__AVX512F__)

#include <immintrin.h>

#include <cstdint>

#include "engine/kernel/isa.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

constexpr int64_t kTileSide = 16;   // rows of a tile, and sums in a row
constexpr int64_t kTileDepth = 32;  // of k in a step: 16 pairs

/// Where a product finds the tiles of an operand. In pairs: from one row of a tile to the next, from a tile
/// to its neighbour (for A below it, for B beside it), and from a step of k to the next.
struct TileOperand {
  const uint32_t* data;
  int64_t row, tile, step;
};

/// The calling thread's tiles for as long as this lives. Given back, because a thread that holds tiles has
/// 8 KiB more to save whenever another takes its place.
template <bool Emulated>
struct TileUse {
  TileUse() {
    alignas(64) static const uint8_t config[64] = {
        1,  0,  0,  0,  0,  0,  0,  0,  0,  0, 0,  0, 0,  0, 0,  0,   // palette 1
        64, 0,  64, 0,  64, 0,  64, 0,  64, 0, 64, 0, 64, 0, 64, 0,   // bytes in a row of each tile
        0,  0,  0,  0,  0,  0,  0,  0,  0,  0, 0,  0, 0,  0, 0,  0,   //
        16, 16, 16, 16, 16, 16, 16, 16, 0,  0, 0,  0, 0,  0, 0,  0};  // rows
    if constexpr (!Emulated) asm volatile("ldtilecfg %0" : : "m"(config));
  }
  ~TileUse() {
    if constexpr (!Emulated) asm volatile("tilerelease");
  }
  TileUse(const TileUse&) = delete;
  TileUse& operator=(const TileUse&) = delete;
};

inline void emulated_tile(int64_t steps, TileOperand a, TileOperand b, float* c, int64_t stride, bool add) {
  const __m512i upper = _mm512_set1_epi32(int(0xffff0000));
  const auto first = [](__m512i pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); };
  const auto second = [&](__m512i pairs) { return _mm512_castsi512_ps(_mm512_and_si512(pairs, upper)); };
  for (int64_t r = 0; r < kTileSide; ++r, c += stride) {
    __m512 sum = add ? _mm512_loadu_ps(c) : _mm512_setzero_ps();
    for (int64_t s = 0; s < steps; ++s) {
      __m512 firsts = _mm512_setzero_ps(), seconds = firsts;
      for (int64_t p = 0; p < kTileSide; ++p) {
        const __m512i x = _mm512_set1_epi32(int(a.data[s * a.step + r * a.row + p]));
        const __m512i row = _mm512_loadu_si512(b.data + s * b.step + p * b.row);
        firsts = _mm512_fmadd_ps(first(x), first(row), firsts);
        seconds = _mm512_fmadd_ps(second(x), second(row), seconds);
      }
      sum = _mm512_add_ps(sum, _mm512_add_ps(firsts, seconds));
    }
    _mm512_storeu_ps(c, sum);
  }
}

/// c [16, 16] = (add ? c : 0) + a b
template <bool Emulated>
static void multiply_tile(int64_t steps, TileOperand a, TileOperand b, float* c, int64_t stride, bool add) {
  if constexpr (Emulated) return emulated_tile(steps, a, b, c, stride, add);
  const int64_t row = stride * 4, a_row = a.row * 4, b_row = b.row * 4;
  if (add)
    asm volatile("tileloadd (%0,%1,1), %%tmm0" : : "r"(c), "r"(row) : "memory");
  else
    asm volatile("tilezero %tmm0");
  for (; steps > 0; --steps, a.data += a.step, b.data += b.step)
    asm volatile(
        "tileloadd (%0,%2,1), %%tmm4\n\ttileloadd (%1,%3,1), %%tmm6\n\ttdpbf16ps %%tmm6, %%tmm4, %%tmm0"
        :
        : "r"(a.data), "r"(b.data), "r"(a_row), "r"(b_row)
        : "memory");
  asm volatile("tilestored %%tmm0, (%0,%1,1)" : : "r"(c), "r"(row) : "memory");
}

/// c [32, 32] = (add ? c : 0) + a b. a is wanted in the first-level cache again, b passes through it.
template <bool Emulated>
static void multiply_tiles(int64_t steps, TileOperand a, TileOperand b, float* c, int64_t stride, bool add) {
  float *const right = c + kTileSide, *const below = c + kTileSide * stride, *const last = below + kTileSide;
  if constexpr (Emulated) {
    const TileOperand a2 = {a.data + a.tile, a.row, a.tile, a.step},
                      b2 = {b.data + b.tile, b.row, b.tile, b.step};
    emulated_tile(steps, a, b, c, stride, add);
    emulated_tile(steps, a, b2, right, stride, add);
    emulated_tile(steps, a2, b, below, stride, add);
    return emulated_tile(steps, a2, b2, last, stride, add);
  }
  const int64_t row = stride * 4, a_row = a.row * 4, b_row = b.row * 4;
  if (add)
    asm volatile(
        "tileloadd (%0,%4,1), %%tmm0\n\ttileloadd (%1,%4,1), %%tmm1\n\t"
        "tileloadd (%2,%4,1), %%tmm2\n\ttileloadd (%3,%4,1), %%tmm3"
        :
        : "r"(c), "r"(right), "r"(below), "r"(last), "r"(row)
        : "memory");
  else
    asm volatile("tilezero %tmm0\n\ttilezero %tmm1\n\ttilezero %tmm2\n\ttilezero %tmm3");
  for (; steps > 0; --steps, a.data += a.step, b.data += b.step)
    asm volatile(
        "tileloadd (%0,%4,1), %%tmm4\n\t"
        "tileloaddt1 (%2,%5,1), %%tmm6\n\t"
        "tileloaddt1 (%3,%5,1), %%tmm7\n\t"
        "tdpbf16ps %%tmm6, %%tmm4, %%tmm0\n\t"
        "tdpbf16ps %%tmm7, %%tmm4, %%tmm1\n\t"
        "tileloadd (%1,%4,1), %%tmm5\n\t"
        "tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n\t"
        "tdpbf16ps %%tmm7, %%tmm5, %%tmm3"
        :
        : "r"(a.data), "r"(a.data + a.tile), "r"(b.data), "r"(b.data + b.tile), "r"(a_row), "r"(b_row)
        : "memory");
  asm volatile(
      "tilestored %%tmm0, (%0,%4,1)\n\ttilestored %%tmm1, (%1,%4,1)\n\t"
      "tilestored %%tmm2, (%2,%4,1)\n\ttilestored %%tmm3, (%3,%4,1)"
      :
      : "r"(c), "r"(right), "r"(below), "r"(last), "r"(row)
      : "memory");
}

}  // namespace
}  // namespace engine::cpu::ENGINE_ISA

#endif
