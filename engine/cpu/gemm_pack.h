// Vectors, the micro-kernel's shape, and packing: the pieces of gemm_cpu.cc that touch single elements.
//
// The micro-kernel computes kRows x (kVectors * lanes) of C in registers. It reads both operands from packed
// panels: an A panel holds, for each k, kRows elements (at a distance of kRowsPadded); a B panel holds, for
// each k, the columns of kVectors registers. Packing copies or transposes, widens 16-bit elements, and fills
// up with zeros. Written in GCC's vector types, so one source serves every level and every processor.
#pragma once

#include <utility>

#include "engine/cpu/gemm.h"
#include "engine/cpu/kernel.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kRows = 14, kRowsPadded = 16, kVectors = 2;  // 28 of 32 registers add up C
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32, kRows = 6, kRowsPadded = 8, kVectors = 2;  // 12 of 16
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16, kRows = 8, kRowsPadded = 8, kVectors = 3;  // 24 of 32
#else
constexpr int kVectorBytes = 16, kRows = 4, kRowsPadded = 4, kVectors = 2;  // 8 of 16
#endif

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <class C>
using Vector = typename VectorOf<C>::type;
template <class C>
constexpr int kLanes = kVectorBytes / int(sizeof(C));
template <class C>
constexpr int kCols = kVectors* kLanes<C>;

template <class C>
ENGINE_INLINE void store_vector(C* to, Vector<C> v) {
  __builtin_memcpy(to, &v, kVectorBytes);
}

/// One register of elements, widened.
template <class C, class T>
ENGINE_INLINE Vector<C> load_vector(const T* from) {
  Vector<C> v;
  if constexpr (std::is_same_v<T, C>) {
    __builtin_memcpy(&v, from, kVectorBytes);
  } else if constexpr (std::is_same_v<T, bf16>) {
    typedef uint16_t Half __attribute__((vector_size(kVectorBytes / 2)));
    typedef uint32_t Word __attribute__((vector_size(kVectorBytes)));
    Half half;
    __builtin_memcpy(&half, from, kVectorBytes / 2);
    v = (Vector<C>)(__builtin_convertvector(half, Word) << 16);
  } else {
#if defined(__AVX512F__)
    v = (Vector<C>)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#elif defined(__F16C__)
    v = (Vector<C>)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
#else
    for (int i = 0; i < kLanes<C>; ++i) v[i] = widen(from[i]);
#endif
  }
  return v;
}

/// The first n < lanes elements, then zeros.
template <class C, class T>
ENGINE_INLINE Vector<C> load_part(const T* from, int64_t n) {
  T padded[kLanes<C>] = {};
  __builtin_memcpy(padded, from, size_t(n) * sizeof(T));
  return load_vector<C>(padded);
}

// Lane l of the first result is a[l] where bit `Step` of l is clear, else b[l - Step]; the second result
// takes the others: one stage of a transpose by recursive swapping of off-diagonal blocks.
template <int Step, class V, int... L>
ENGINE_INLINE void swap_blocks(V& a, V& b, std::integer_sequence<int, L...>) {
  constexpr int n = sizeof...(L);
  const V low = __builtin_shufflevector(a, b, ((L & Step) ? n + L - Step : L)...);
  b = __builtin_shufflevector(a, b, ((L & Step) ? n + L : L + Step)...);
  a = low;
}
template <int Step, class V, int N>
ENGINE_INLINE void transpose_stage(V (&rows)[N]) {
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i)
    if (!(i & Step)) swap_blocks<Step>(rows[i], rows[i + Step], std::make_integer_sequence<int, N>());
}
/// Transposes a square block held in registers.
template <class V, int N>
ENGINE_INLINE void transpose_block(V (&rows)[N]) {
  if constexpr (N >= 16) transpose_stage<8>(rows);
  if constexpr (N >= 8) transpose_stage<4>(rows);
  if constexpr (N >= 4) transpose_stage<2>(rows);
  transpose_stage<1>(rows);
}

/// Packs `width` > 0 vectors that lie along k in memory (rows of A, rows of a transposed B): panel[p * Padded
/// + i] = from[i * stride + p]. Lanes past `width` repeat the last one: nobody reads what they become.
template <class T, int Padded>
static void pack_across(const T* from, int64_t stride, int64_t width, int64_t k, Compute<T>* panel) {
  using C = Compute<T>;
  constexpr int n = kLanes<C>;
  static_assert(Padded % n == 0);
  for (int group = 0; group < Padded; group += n) {
    const T* source[n];
    for (int i = 0; i < n; ++i) source[i] = from + (group + i < width ? group + i : width - 1) * stride;
    Vector<C> block[n];
    int64_t p = 0;
    C* to = panel + group;
    for (; p + n <= k; p += n, to += n * Padded) {
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) block[i] = load_vector<C>(source[i] + p);
      transpose_block(block);
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) store_vector(to + i * Padded, block[i]);
    }
    if (p == k) continue;
    for (int i = 0; i < n; ++i) block[i] = load_part<C>(source[i] + p, k - p);
    transpose_block(block);
    for (int64_t i = 0; i < k - p; ++i) store_vector(to + i * Padded, block[i]);
  }
}

/// Packs vectors that lie across k in memory (rows of B, rows of a transposed A) into neighbouring panels of
/// Width each, `distance` elements apart: panel[j * distance + p * Padded + i] = from[p * stride + j * Width
/// + i]. Several panels at once, because a row of a wide matrix is a page of its own: it is visited once.
template <class T, int Width, int Padded>
static void pack_along(const T* from, int64_t stride, int64_t width, int64_t k, Compute<T>* panel,
                       int64_t distance) {
  using C = Compute<T>;
  constexpr int n = kLanes<C>;
  constexpr int64_t kRowsAhead = 4;  // asked for ahead: no prefetcher follows such strides
  for (int64_t p = 0; p < k; ++p, from += stride, panel += Padded) {
    C* to = panel;
    int64_t column = 0;
    if (p + kRowsAhead < k)
      for (int64_t i = 0; i < width; i += 64 / int64_t(sizeof(T)))
        __builtin_prefetch(from + kRowsAhead * stride + i);
    for (; column + Padded <= width; column += Width, to += distance) {
#pragma GCC unroll 8
      for (int i = 0; i < Padded; i += n) store_vector(to + i, load_vector<C>(from + column + i));
    }
    for (; column < width; column += Width, to += distance)
      for (int i = 0; i < Padded; i += n) {
        const int64_t left = width - column - i;
        store_vector(to + i, left >= n  ? load_vector<C>(from + column + i)
                             : left > 0 ? load_part<C>(from + column + i, left)
                                        : Vector<C>{});
      }
  }
}

/// Packs `width` rows of A or columns of B from `first` on, in panels of Width.
template <class C, int Width, int Padded>
static void pack_panels(const GemmOperand& x, bool along, int64_t first, int64_t width, int64_t k0, int64_t k,
                        C* panel) {
  const auto pack = [&](auto t) {
    using T = decltype(t);
    const T* data = static_cast<const T*>(x.data);
    if (along) {
      pack_along<T, Width, Padded>(data + k0 * x.stride + first, x.stride, width, k, panel, Padded * k);
    } else {
      for (int64_t i = 0; i < width; i += Width, panel += Padded * k)
        pack_across<T, Padded>(data + (first + i) * x.stride + k0, x.stride,
                               width - i < Width ? width - i : Width, k, panel);
    }
  };
  if constexpr (std::is_same_v<C, double>)
    pack(double{});
  else if (x.dtype == DType::f32)
    pack(float{});
  else if (x.dtype == DType::bf16)
    pack(bf16{});
  else
    pack(f16{});
}

}  // namespace
}  // namespace engine::cpu::ENGINE_ISA
