// Streaming stores: results that go past the caches to memory.
//
// An ordinary store reads its cache line from memory before it writes it, so an op of one input and one
// output moves half as much again as it has to. An output too large to be found in a cache by whoever reads
// it next is better written past them. Smaller ones stay where their reader finds them. Also here, for the
// same kind of op: asking for rows in advance. Included by kernel files only (chunk.h says why).
#pragma once

#include "engine/cpu/row.h"

namespace engine::cpu::ENGINE_ISA {

constexpr int64_t kStreamedBytes = int64_t(12) << 20;  // about a third of a large cache that others share

/// Stores a packet at p, which lies on a multiple of the bytes stored.
template <class T>
ENGINE_INLINE void stream_packet(T* p, const Packet<Compute<T>>& x) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<T, float>) {
    _mm512_stream_ps(p, x);
  } else if constexpr (std::is_same_v<T, double>) {
    _mm512_stream_pd(p, x);
  } else {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(p), narrowed<T>(x));
  }
#else
  store_packet(p, x);
#endif
}

/// How results reach memory: in their place, past the caches, or added to what is there.
enum class Delivery { stored, streamed, added };

/// For `rows` rows of n elements, `stride` apart: streamed when there is much of them and their packets lie
/// on multiples of their own size. A row here is whatever the kernel begins a new packet at: a block of a
/// norm in groups is one.
ENGINE_INLINE Delivery delivery(const void* to, DType dtype, int64_t rows, int64_t n, int64_t stride,
                                bool accumulate) {
  if (accumulate) return Delivery::added;
  const int64_t size = size_of(dtype),
                lanes = dtype == DType::f64 ? kPacketLanes<double> : kPacketLanes<float>;
  const bool streamed = rows * n * size >= kStreamedBytes &&
                        reinterpret_cast<uintptr_t>(to) % uint64_t(lanes * size) == 0 &&
                        (rows == 1 || stride % lanes == 0);
  return streamed ? Delivery::streamed : Delivery::stored;
}

/// Makes the calling thread's streamed stores visible to whoever learns that its task is done.
ENGINE_INLINE void end_of_stream(Delivery how) {
#if defined(__AVX512F__)
  if (how == Delivery::streamed) _mm_sfence();
#endif
}

/// One element, which is never streamed, or a packet of them (row.h, each_packet).
template <class T, class L>
ENGINE_INLINE void deliver_as(T* p, const L& x, Delivery how) {
  if constexpr (!std::is_same_v<L, Compute<T>>)
    if (how == Delivery::streamed) return stream_packet(p, x);
  store_as(p, how == Delivery::added ? L(load_as<L>(p) + x) : x);
}

/// Rows ahead of the one that is computed for which a row kernel asks memory, in a pass that does not itself
/// wait for memory: the processor's own prefetching follows a row to its end, and rows are short.
constexpr int64_t kRowsAhead = 2;
/// Has the line of p brought into the second-level cache; p may lie past an array's end.
ENGINE_INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0, 2); }

/// to = values, streamed; `to` on a packet's boundary.
template <class T>
ENGINE_INLINE void stream_n(const Compute<T>* values, T* to, int64_t n) {
  constexpr int64_t kLanes = kPacketLanes<Compute<T>>;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) stream_packet(to + i, load_packet(values + i));
  for (; i < n; ++i) to[i] = narrow<T>(values[i]);
}

/// store_row() (row.h), or streamed: then `values` is not the destination itself (row_target(), told to keep
/// away from it when how != stored).
template <class C>
ENGINE_INLINE void deliver_row(void* p, DType dtype, int64_t offset, const C* values, int64_t n,
                               Delivery how) {
  if (how != Delivery::streamed) return store_row(p, dtype, offset, values, n, how == Delivery::added);
  if constexpr (std::is_same_v<C, float>) {
    if (dtype == DType::bf16) return stream_n(values, static_cast<bf16*>(p) + offset, n);
    if (dtype == DType::f16) return stream_n(values, static_cast<f16*>(p) + offset, n);
  }
  stream_n(values, static_cast<C*>(p) + offset, n);
}

}  // namespace engine::cpu::ENGINE_ISA
