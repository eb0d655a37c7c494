// Blocks of q, k, v, of scores and of their gradients, laid out for attention's products. Read before:
// attention_tile.h.
//
// Attention sums over three axes: channels (scores), keys (the output, dq) and queries (dk, dv). Single
// numbers lie right for each of them as they are, at most widened. Pairs of bf16 must be neighbours along the
// axis that is summed, so a block exists once for each axis it is summed over; scores, which are f32, are
// rounded on the way. Tiles want the same, but for left operands, whose pairs lie in rows. Included by
// attention_cpu.cc only.
#pragma once

#include "engine/cpu/exp.h"
#include "engine/ops/attention_kernels.h"
#include "engine/ops/attention_tile.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

constexpr int64_t kQ = kAttentionQueries, kK = kAttentionKeys;

/// to = from, where C is Compute<T> or wider.
template <class T, class C>
void widen_row(const T* from, C* to, int64_t n) {
  if constexpr (std::is_same_v<C, Compute<T>>)
    widen_n(from, to, n);
  else
    out(to, n) = in(from, n).template cast<C>();
}
/// `from` itself where it is C, else widened into `buffer`.
template <class T, class C>
const C* as_row(const T* from, C* buffer, int64_t n) {
  if constexpr (std::is_same_v<T, C>) {
    return from;
  } else {
    widen_row(from, buffer, n);
    return buffer;
  }
}
/// to = values, or += values, rounded once.
template <class T, class C>
void round_row(T* to, const C* values, int64_t n, bool accumulate) {
  if constexpr (std::is_same_v<C, Compute<T>>)
    store(to, values, n, accumulate);
  else if (accumulate)
    out(to, n) = (in(to, n).template cast<C>() + in(values, n)).template cast<T>();
  else
    out(to, n) = in(values, n).template cast<T>();
}

/// A block of keys or values as left operands: (key, channel) and (channel, key).
template <class E>
struct KeyBlock {
  Operand<E> rows, columns;
};
enum class Wanted : uint8_t { rows, columns, both };

/// Single numbers, computed with in C. The scale of the scores is part of q.
template <class T, class Wide = Compute<T>>
struct SingleBlocks {
  using C = Wide;
  using M = Singles<C>;
  using E = C;
  static constexpr bool kScaledQueries = true;
  struct Use {};  // lives as long as a task
  static ENGINE_INLINE Packet<C> exp(const Packet<C>& x) { return simd::pexp(x); }

  /// [queries, ld]: factor * rows of `from`; columns from n to ld are zero.
  static void query_rows(const T* from, int64_t stride, int64_t rows, int64_t n, C factor, E* to,
                         int64_t ld) {
    for (int64_t r = 0; r < rows; ++r) {
      if constexpr (std::is_same_v<T, C>) {
        out(to + r * ld, n) = factor * in(from + r * stride, n);
      } else {
        widen_row(from + r * stride, to + r * ld, n);
        out(to + r * ld, n) *= factor;
      }
      for (int64_t i = n; i < ld; ++i) to[r * ld + i] = 0;
    }
  }
  /// [n, kQ]: a lane is a query. `rows_of_them` is room for [queries, n].
  static void query_lanes(const T* from, int64_t stride, int64_t rows, int64_t n, C factor, E* rows_of_them,
                          E* to) {
    query_rows(from, stride, rows, n, factor, rows_of_them, n);
    out(to, n * kQ).setZero();
    transpose(rows, n, rows_of_them, n, to, kQ);
  }
  static KeyBlock<E> keys(const T* from, int64_t stride, int64_t count, int64_t n, Wanted, E* buffer) {
    if constexpr (std::is_same_v<T, C>) return {{from, stride, 1}, {from, 1, stride}};
    for (int64_t r = 0; r < count; ++r) widen_row(from + r * stride, buffer + r * n, n);
    return {{buffer, n, 1}, {buffer, 1, n}};
  }
  /// Scores [keys, kQ] as the right operand of a sum over keys, and as the left one of a sum over queries.
  static const E* score_rows(const C* scores, int64_t, int64_t, E*) { return scores; }
  static Operand<E> score_columns(const C* scores, int64_t, int64_t, E*) { return {scores, kQ, 1}; }
};

#if defined(__AVX512F__)
/// Pairs of bf16. q stays as it is, so that it is exact; the scale comes after the product.
template <bool Emulated>
struct PairBlocks {
  using C = float;
  using M = Pairs<Emulated>;
  using E = uint32_t;
  static constexpr bool kScaledQueries = false;
  struct Use {};
  static ENGINE_INLINE Packet<C> exp(const Packet<C>& x) { return simd::pexp(x); }

  /// [queries in pairs, ld]; zero where there is no query or no channel.
  static void query_rows(const bf16* from, int64_t stride, int64_t rows, int64_t n, C, E* to, int64_t ld) {
    join_rows(from, stride, rows, n, to, ld);
  }
  /// [channels in pairs, kQ]
  static void query_lanes(const bf16* from, int64_t stride, int64_t rows, int64_t n, C, E* rows_of_them,
                          E* to) {
    const int64_t steps = steps_of<M>(n);
    gather(from, stride, rows, n, rows_of_them);
    __builtin_memset(to, 0, size_t(steps * kQ) * sizeof(E));
    transpose(rows, steps, reinterpret_cast<const float*>(rows_of_them), steps, reinterpret_cast<float*>(to),
              kQ);
  }
  static KeyBlock<E> keys(const bf16* from, int64_t stride, int64_t count, int64_t n, Wanted wanted,
                          E* buffer) {
    const int64_t steps = steps_of<M>(n);
    E* columns = buffer + (wanted == Wanted::columns ? 0 : count * steps);
    if (wanted != Wanted::columns) gather(from, stride, count, n, buffer);
    if (wanted != Wanted::rows) join_rows(from, stride, count, n, columns, n);
    return {{buffer, steps, 1}, {columns, 1, n}};
  }
  static const E* score_rows(const C* scores, int64_t keys, int64_t lanes, E* to) {
    for (int64_t j = 0; j < keys; j += 2)
      for (int64_t i = 0; i < lanes; i += kLanes<C>) {
        const C* at = scores + j * kQ + i;
        store(to + j / 2 * kQ + i, rounded(at), j + 1 < keys ? rounded(at + kQ) : _mm256_setzero_si256());
      }
    return to;
  }
  static Operand<E> score_columns(const C* scores, int64_t keys, int64_t lanes, E* to) {
    for (int64_t j = 0; j < keys; ++j)
      for (int64_t i = 0; i < lanes; i += kLanes<C>)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + (j * kQ + i) / 2), rounded(scores + j * kQ + i));
    return {to, kQ / 2, 1};
  }

 protected:
  static ENGINE_INLINE __m256i rounded(const C* from) { return narrowed<bf16>(load_packet(from)); }
  /// 16 pairs of the numbers of two registers.
  static ENGINE_INLINE void store(E* to, __m256i first, __m256i second) {
    const __m512i upper = _mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16);
    _mm512_storeu_si512(to, _mm512_or_si512(_mm512_cvtepu16_epi32(first), upper));
  }
  /// Rows one after the other, each in whole pairs.
  static void gather(const bf16* from, int64_t stride, int64_t rows, int64_t n, E* to) {
    const int64_t steps = steps_of<M>(n);
    for (int64_t r = 0; r < rows; ++r) {
      to[r * steps + steps - 1] = 0;
      __builtin_memcpy(to + r * steps, from + r * stride, size_t(n) * sizeof(bf16));
    }
  }
  /// to [rows in pairs, ld]: two rows in one; zeros in columns from n on and in the row after an odd last
  /// one.
  static void join_rows(const bf16* from, int64_t stride, int64_t rows, int64_t n, E* to, int64_t ld) {
    for (int64_t r = 0; r < rows; r += 2, to += ld) {
      const bf16* row = from + r * stride;
      const bool both = r + 1 < rows;
      int64_t i = 0;
      const auto at = [](const bf16* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); };
      for (; i + kLanes<C> <= n; i += kLanes<C>)
        store(to + i, at(row + i), both ? at(row + stride + i) : _mm256_setzero_si256());
      for (; i < n; ++i) to[i] = E(row[i].bits) | (both ? E(row[stride + i].bits) << 16 : 0);
      for (; i < ld; ++i) to[i] = 0;
    }
  }
};

/// Pairs on tiles. Every sum is as long as whole steps of tiles: what is missing is zero in both operands.
template <bool Emulated>
struct TileBlocks : PairBlocks<Emulated> {
  using Base = PairBlocks<Emulated>;
  using C = float;
  using M = OnTiles<Emulated>;
  using E = uint32_t;
  using Use = TileUse<Emulated>;
  static ENGINE_INLINE Packet<C> exp(const Packet<C>& x) { return exp_of(x); }

  static void query_rows(const bf16* from, int64_t stride, int64_t rows, int64_t n, C, E* to, int64_t ld) {
    Base::join_rows(from, stride, rows, n, to, ld);
    clear(to, (rows + 1) / 2 * ld, kQ / 2 * ld);
  }
  static void query_lanes(const bf16* from, int64_t stride, int64_t rows, int64_t n, C, E* rows_of_them,
                          E* to) {
    const int64_t steps = whole_steps(n);
    gather(from, stride, rows, n, rows_of_them);
    if (rows < kQ) clear(to, 0, steps * kQ);
    turn(rows, steps, rows_of_them, steps, to, kQ);
  }
  static KeyBlock<E> keys(const bf16* from, int64_t stride, int64_t count, int64_t n, Wanted wanted,
                          E* buffer) {
    const int64_t steps = whole_steps(n);
    E* const columns = buffer + (wanted == Wanted::columns ? 0 : kK * steps);
    if (wanted != Wanted::columns) gather(from, stride, count, n, buffer);
    if (wanted != Wanted::rows) {
      E* const joined = columns + round_up(n, kTileSide) * kK / 2;
      Base::join_rows(from, stride, count, n, joined, n);
      if (count < kK) clear(columns, 0, n * kK / 2);
      turn((count + 1) / 2, n, joined, n, columns, kK / 2);
    }
    return {{buffer, steps, 1}, {columns, kK / 2, 1}};
  }
  static const E* score_rows(const C* scores, int64_t keys, int64_t lanes, E* to) {
    Base::score_rows(scores, keys, lanes, to);
    clear(to, (keys + 1) / 2 * kQ, whole_steps(keys) * kQ);
    return to;
  }
  static Operand<E> score_columns(const C* scores, int64_t keys, int64_t lanes, E* to) {
    Base::score_columns(scores, keys, lanes, to);
    for (int64_t j = 0; j < keys && lanes < kQ; ++j) clear(to + j * kQ / 2, lanes / 2, kQ / 2);
    return {to, kQ / 2, 1};
  }

 private:
  /// Pairs in as many tiles as n numbers fill.
  static int64_t whole_steps(int64_t n) { return round_up(n, kTileDepth) / 2; }
  static void clear(E* to, int64_t begin, int64_t end) {
    if (begin < end) __builtin_memset(to + begin, 0, size_t(end - begin) * sizeof(E));
  }
  static void turn(int64_t rows, int64_t columns, const E* from, int64_t ld_from, E* to, int64_t ld_to) {
    transpose(rows, columns, reinterpret_cast<const float*>(from), ld_from, reinterpret_cast<float*>(to),
              ld_to);
  }
  /// Rows one after the other, each in whole steps.
  static void gather(const bf16* from, int64_t stride, int64_t rows, int64_t n, E* to) {
    const int64_t steps = whole_steps(n);
    for (int64_t r = 0; r < rows; ++r) {
      clear(to + r * steps, n / 2, steps);
      __builtin_memcpy(to + r * steps, from + r * stride, size_t(n) * sizeof(bf16));
    }
  }
};
#endif

}  // namespace
}  // namespace engine::cpu::ENGINE_ISA
