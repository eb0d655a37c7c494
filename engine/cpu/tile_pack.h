// Packing for tiles: 32 rows or columns of an operand as the steps of a panel that tiles.h multiplies. Read
// first: tiles.h, gemm_pack.h.
//
// A step of A is [2 tiles, 16 rows, 16 pairs], a step of B [16 pairs, 32 columns].
//
// bf16: an element is half a pair. f16: an element x is the sum of two bf16 numbers, exactly: its upper part
// x' holds 8 of the 11 bits, the lower part x" the other 3. A product of two elements is four of bf16,
//
//   a b = a' b' + a" b' + a' b" + a" b"       A has (a', a") (a', a")       B has (b', b') (b", b")
//
// so an f16 element is two pairs, and the instruction adds up exact products in f32 as it does for bf16.
// An infinity or NaN is all upper part, and stands once: A has (a, 0) (0, 0), B (b, 0) (0, 0). Otherwise it
// would meet a lower part of zero, and inf * 0 is NaN. Included by gemm_tiles.h and tile_block_cpu.cc.
#pragma once

#if defined(__AVX512F__)

#include "engine/cpu/gemm_pack.h"
#include "engine/cpu/tiles.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

constexpr int64_t kTilePanel = 2 * kTileSide;               // rows or columns of a packed panel
constexpr int64_t kTileStep = kTilePanel * kTileDepth / 2;  // pairs in a step of one

/// Elements of k in a step.
template <class T>
constexpr int64_t kStepDepth = std::is_same_v<T, bf16> ? kTileDepth : kTileDepth / 4;

/// Panels as tiles take them.
inline TileOperand a_panel(const uint32_t* data) { return {data, kTileDepth / 2, kTileStep / 2, kTileStep}; }
inline TileOperand b_panel(const uint32_t* data) { return {data, kTilePanel, kTileSide, kTileStep}; }

enum class Side { a, b };

/// The first pair of every lane's f16 element (widened, in x), or the second one where `second` says so.
template <Side S>
ENGINE_INLINE __m512i f16_pairs(__m512 x, __mmask16 second) {
  const __m512i upper_half = _mm512_set1_epi32(int(0xffff0000));
  const __m512 upper = _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(x), upper_half));
  const __m512 rest = _mm512_sub_ps(x, upper);
  const __mmask16 finite = _mm512_cmp_ps_mask(rest, rest, _CMP_ORD_Q);  // inf - inf is NaN
  const __m512i u = _mm512_castps_si512(upper);
  const __m512i lower = _mm512_maskz_mov_epi32(finite, _mm512_castps_si512(rest));
  if constexpr (S == Side::a) {
    const __m512i pair = _mm512_or_si512(_mm512_srli_epi32(u, 16), lower);
    return _mm512_maskz_mov_epi32(__mmask16(finite | ~second), pair);
  }
  const __m512i twice = _mm512_mask_mov_epi32(u, second, lower);
  return _mm512_or_si512(_mm512_srli_epi32(twice, 16), _mm512_maskz_mov_epi32(finite, twice));
}

/// A step of one vector that lies along k: its 16 pairs. n > 0: elements there are.
template <Side S>
ENGINE_INLINE __m512i step_along(const bf16* from, int64_t n) {
  return _mm512_maskz_loadu_epi16(n >= kTileDepth ? ~__mmask32(0) : (__mmask32(1) << n) - 1, from);
}
template <Side S>
ENGINE_INLINE __m512i step_along(const f16* from, int64_t n) {
  const __m128i there = _mm_maskz_loadu_epi16(n >= 8 ? __mmask8(0xff) : __mmask8((1 << n) - 1), from);
  const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  const __m512 x = _mm512_castps256_ps512(_mm256_cvtph_ps(there));
  return f16_pairs<S>(_mm512_permutexvar_ps(twice, x), 0xaaaa);
}

/// A step of 16 vectors that lie across k, the first n > 0 of which are there: rows[p] has pair p of all. k:
/// elements of it there are.
template <Side S>
ENGINE_INLINE void step_across(const bf16* from, int64_t stride, int64_t n, int64_t k,
                               Vector<uint32_t> (&rows)[16]) {
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    rows[i] = 2 * i < k ? Bf16Pairs<true>::across_k(from + 2 * i * stride, stride, n, k - 2 * i)
                        : Vector<uint32_t>{};
}
template <Side S>
ENGINE_INLINE void step_across(const f16* from, int64_t stride, int64_t n, int64_t k,
                               Vector<uint32_t> (&rows)[16]) {
  const __mmask16 there = n >= 16 ? __mmask16(0xffff) : __mmask16((1 << n) - 1);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    const __m512 x =
        i < k ? _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(there, from + i * stride)) : _mm512_setzero_ps();
    rows[2 * i] = (Vector<uint32_t>)f16_pairs<S>(x, 0);
    rows[2 * i + 1] = (Vector<uint32_t>)f16_pairs<S>(x, 0xffff);
  }
}

/// Packs up to 32 rows that lie along k: an A panel.
template <class T>
void pack_tile_rows(const T* from, int64_t stride, int64_t rows, int64_t k, uint32_t* panel) {
  for (int64_t p = 0; p < k; p += kStepDepth<T>)
    for (int64_t r = 0; r < kTilePanel; ++r, panel += kTileStep / kTilePanel)
      _mm512_storeu_si512(
          panel, r < rows ? step_along<Side::a>(from + r * stride + p, k - p) : _mm512_setzero_si512());
}

/// Packs up to 32 rows that lie across k (a transposed A).
template <class T>
void pack_tile_columns(const T* from, int64_t stride, int64_t rows, int64_t k, uint32_t* panel) {
  for (int64_t p = 0; p < k; p += kStepDepth<T>, from += kStepDepth<T> * stride)
    for (int64_t half = 0; half < 2; ++half, panel += kTileStep / 2) {
      Vector<uint32_t> block[16] = {};
      if (const int64_t there = rows - 16 * half; there > 0)
        step_across<Side::a>(from + 16 * half, stride, there, k - p, block);
      transpose_block(block);
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) store_vector(panel + 16 * i, block[i]);
    }
}

/// Packs `width` columns that lie across k (rows of B as they lie) into B panels `distance` apart, several at
/// once: a row of a wide matrix is a page of its own. Whole steps are written.
inline void pack_tile_b_across(const bf16* from, int64_t stride, int64_t width, int64_t k, uint32_t* panel,
                               int64_t distance) {
  pack_across_k<Bf16Pairs<true>, kTilePanel, kTilePanel>(from, stride, width, k, panel, distance);
  const int64_t packed = (k + 1) / 2 * kTilePanel;  // the rest of the last step is zero
  for (int64_t i = 0; packed < distance && i < width; i += kTilePanel, panel += distance)
    __builtin_memset(panel + packed, 0, size_t(distance - packed) * sizeof(uint32_t));
}
inline void pack_tile_b_across(const f16* from, int64_t stride, int64_t width, int64_t k, uint32_t* panel,
                               int64_t distance) {
  for (int64_t p = 0; p < k; p += kStepDepth<f16>, from += kStepDepth<f16> * stride, panel += kTileStep) {
    uint32_t* to = panel;
    for (int64_t column = 0; column < width; column += kTilePanel, to += distance)
      for (int64_t half = 0; half < kTilePanel; half += 16) {
        Vector<uint32_t> block[16] = {};
        if (const int64_t there = width - column - half; there > 0)
          step_across<Side::b>(from + column + half, stride, there, k - p, block);
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) store_vector(to + i * kTilePanel + half, block[i]);
      }
  }
}

/// Packs up to 32 columns that lie along k (rows of a transposed B): a B panel. Whole steps are written.
template <class T>
void pack_tile_b_along(const T* from, int64_t stride, int64_t width, int64_t k, uint32_t* panel) {
  for (int64_t half = 0; half < kTilePanel; half += 16, from += 16 * stride) {
    uint32_t* to = panel + half;
    for (int64_t p = 0; p < k; p += kStepDepth<T>, to += kTileStep) {
      Vector<uint32_t> block[16] = {};
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i)
        if (half + i < width) block[i] = (Vector<uint32_t>)step_along<Side::b>(from + i * stride + p, k - p);
      transpose_block(block);
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) store_vector(to + i * kTilePanel, block[i]);
    }
  }
}

}  // namespace
}  // namespace engine::cpu::ENGINE_ISA

#endif
