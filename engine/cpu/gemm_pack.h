// Vectors, the micro-kernel's shape, and packing: the pieces of gemm_cpu.cc that touch single elements.
//
// The micro-kernel computes kRows x (kVectors * lanes) of C in registers. It reads both operands from packed
// panels: an A panel holds, for each k, kRows elements (at a distance of kRowsPadded); a B panel holds, for
// each k, the columns of kVectors registers. Packing copies or transposes, widens 16-bit elements, and fills
// up with zeros. Written in GCC's vector types, so one source serves every level and every processor.
#pragma once

#include <utility>

#include "engine/cpu/bf16_pairs.h"
#include "engine/cpu/chunk.h"
#include "engine/kernel/gemm.h"

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
  } else if constexpr (std::is_same_v<C, double> && std::is_same_v<T, float>) {
    typedef float Half __attribute__((vector_size(kVectorBytes / 2)));
    Half half;
    __builtin_memcpy(&half, from, kVectorBytes / 2);
    v = __builtin_convertvector(half, Vector<C>);
  } else if constexpr (std::is_same_v<C, double>) {
    for (int i = 0; i < kLanes<C>; ++i) v[i] = double(widen(from[i]));
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

// Two ways to multiply. A "step" of k is what one packed element holds: one k, or a pair of them.
//   Packed                          element of a packed panel, as wide as Sum
//   Result                          what a finished sum is rounded to: the compute dtype of the operands
//   kDepth                          elements of k in a step
//   multiply_add(sum, a, row)       sum += a * row, a for one row of A and a step of B's columns
//   along_k(from, n)                steps of one vector that lies along k; n: elements there are, at most a
//   register across_k(from, stride, n, k)    one step of n vectors that lie across k; k: elements of k there
//   are

/// Every element by itself, widened to C.
template <class C, class R = C>
struct Widened {
  using Sum = C;
  using Result = R;
  using Packed = C;
  static constexpr int kDepth = 1;

  static ENGINE_INLINE void multiply_add(Vector<C>& sum, C a, const Vector<C>& row) { sum += a * row; }
  template <class T>
  static ENGINE_INLINE Vector<C> along_k(const T* from, int64_t n) {
    return n >= kLanes<C> ? load_vector<C>(from) : load_part<C>(from, n);
  }
  template <class T>
  static ENGINE_INLINE Vector<C> across_k(const T* from, int64_t, int64_t n, int64_t) {
    return along_k(from, n);
  }
};

#if defined(__AVX512F__)
/// Pairs of bf16 neighbours in k (bf16_pairs.h).
template <bool Emulated>
struct Bf16Pairs {
  using Sum = float;
  using Result = float;
  using Packed = uint32_t;
  static constexpr int kDepth = 2;

  static ENGINE_INLINE void multiply_add(Vector<float>& sum, uint32_t a, const Vector<uint32_t>& row) {
    add_pair_products<Emulated>(sum, a, row);
  }
  static ENGINE_INLINE Vector<uint32_t> along_k(const bf16* from, int64_t n) {
    Vector<uint32_t> pairs = {};
    if (n >= 2 * kLanes<float>)
      __builtin_memcpy(&pairs, from, kVectorBytes);
    else
      __builtin_memcpy(&pairs, from, size_t(n) * sizeof(bf16));
    return pairs;
  }
  static ENGINE_INLINE Vector<uint32_t> across_k(const bf16* from, int64_t stride, int64_t n, int64_t k) {
    const auto row = [&](const bf16* at) {
      return (Vector<uint32_t>)(n >= kLanes<float> ? load_vector<float>(at) : load_part<float>(at, n));
    };
    const Vector<uint32_t> low = row(from) >> 16;
    return k >= 2 ? low | row(from + stride) : low;
  }
};
#endif

/// Packs `width` > 0 vectors that lie along k in memory (rows of A, rows of a transposed B): element i of
/// step p at panel[p * Padded + i]. Lanes past `width` repeat the last vector: nobody reads what they become.
/// k: elements.
template <class M, int Padded, class T>
static void pack_along_k(const T* from, int64_t stride, int64_t width, int64_t k, typename M::Packed* panel) {
  using P = typename M::Packed;
  constexpr int n = kLanes<P>;
  static_assert(Padded % n == 0);
  for (int group = 0; group < Padded; group += n) {
    const T* source[n];
    for (int i = 0; i < n; ++i) source[i] = from + (group + i < width ? group + i : width - 1) * stride;
    Vector<P> block[n];
    P* to = panel + group;
    for (int64_t p = 0; p < k; p += n * M::kDepth, to += n * Padded) {
      const int64_t left = k - p;
      if (left >= n * M::kDepth) {
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i) block[i] = M::along_k(source[i] + p, n * M::kDepth);
        transpose_block(block);
#pragma GCC unroll 16
        for (int i = 0; i < n; ++i) store_vector(to + i * Padded, block[i]);
      } else {
        for (int i = 0; i < n; ++i) block[i] = M::along_k(source[i] + p, left);
        transpose_block(block);
        for (int64_t i = 0; i * M::kDepth < left; ++i) store_vector(to + i * Padded, block[i]);
      }
    }
  }
}

/// Packs vectors that lie across k in memory (rows of B, rows of a transposed A) into neighbouring panels of
/// Width each, `distance` elements apart: element i of panel j and step p at panel[j * distance + p * Padded
/// + i]. Several panels at once, because a row of a wide matrix is a page of its own: it is visited once.
template <class M, int Width, int Padded, class T>
static void pack_across_k(const T* from, int64_t stride, int64_t width, int64_t k, typename M::Packed* panel,
                          int64_t distance) {
  using P = typename M::Packed;
  constexpr int n = kLanes<P>;
  constexpr int64_t kRowsAhead = 4;  // asked for ahead: no prefetcher follows such strides
  for (int64_t p = 0; p < k; p += M::kDepth, from += M::kDepth * stride, panel += Padded) {
    for (int64_t row = kRowsAhead; row < kRowsAhead + M::kDepth && p + row < k; ++row)
      for (int64_t i = 0; i < width; i += 64 / int64_t(sizeof(T)))
        __builtin_prefetch(from + row * stride + i);
    P* to = panel;
    int64_t column = 0;
    for (; column + Padded <= width; column += Width, to += distance) {
#pragma GCC unroll 8
      for (int i = 0; i < Padded; i += n)
        store_vector(to + i, M::across_k(from + column + i, stride, n, k - p));
    }
    for (; column < width; column += Width, to += distance)
      for (int i = 0; i < Padded; i += n) {
        const int64_t left = width - column - i;
        store_vector(to + i, left > 0 ? M::across_k(from + column + i, stride, left, k - p) : Vector<P>{});
      }
  }
}

/// Packs `width` rows of A or columns of B from `first` on, k elements from k0 on, in panels of Width.
template <class M, int Width, int Padded>
static void pack_panels(const GemmOperand& x, bool across, int64_t first, int64_t width, int64_t k0,
                        int64_t k, typename M::Packed* panel) {
  const int64_t steps = (k + M::kDepth - 1) / M::kDepth;
  const auto pack = [&](auto t) {
    using T = decltype(t);
    const T* data = static_cast<const T*>(x.data);
    if (across)
      return pack_across_k<M, Width, Padded>(data + k0 * x.stride + first, x.stride, width, k, panel,
                                             Padded * steps);
    for (int64_t i = 0; i < width; i += Width, panel += Padded * steps)
      pack_along_k<M, Padded>(data + (first + i) * x.stride + k0, x.stride,
                              width - i < Width ? width - i : Width, k, panel);
  };
  if constexpr (M::kDepth == 2)
    pack(bf16{});
  else if constexpr (std::is_same_v<typename M::Result, double>)
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
