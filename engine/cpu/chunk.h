// What every CPU kernel file starts from: Eigen maps over chunks, widening loads, narrowing stores, scratch
// memory.
//
// Kernels compute in Compute<T> (f32, or f64 for f64) whatever T is stored in. They walk their data in chunks
// that stay in the L1 cache: widen a chunk, evaluate one fused Eigen expression on it, narrow the result.
// Included by x_cpu.cc files only; everything here lives in the level's namespace (isa.h).
#pragma once

#include <Eigen/Core>

#include "engine/core/dtype.h"
#include "engine/cpu/lanes.h"
#include "engine/cpu/parallel.h"
#include "engine/kernel/isa.h"

namespace engine::cpu {
/// Scratch memory of the calling thread, 64-byte aligned, valid until the thread asks for the same slot
/// again.
void* thread_scratch(size_t bytes, int slot);
}  // namespace engine::cpu

namespace engine::cpu::ENGINE_ISA {

constexpr int64_t kChunk = 512;    // elements: 2 KiB of f32, so that a few operands fit in L1
constexpr int64_t kGrain = 16384;  // elements a task of an elementwise kernel works on

template <class C>
using ArrayIn = Eigen::Map<const Eigen::Array<C, Eigen::Dynamic, 1>>;
template <class C>
using ArrayOut = Eigen::Map<Eigen::Array<C, Eigen::Dynamic, 1>>;

template <class C>
ENGINE_INLINE ArrayIn<C> in(const C* p, int64_t n) {
  return ArrayIn<C>(p, n);
}
template <class C>
ENGINE_INLINE ArrayOut<C> out(C* p, int64_t n) {
  return ArrayOut<C>(p, n);
}

template <class T>
static inline void widen_n(const T* from, Compute<T>* to, int64_t n) {
  constexpr int64_t kLanes = kPacketLanes<Compute<T>>;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store_packet(to + i, load_packet(from + i));
  for (; i < n; ++i) to[i] = widen(from[i]);
}

template <class T>
static inline void narrow_n(const Compute<T>* from, T* to, int64_t n) {
  constexpr int64_t kLanes = kPacketLanes<Compute<T>>;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store_packet(to + i, load_packet(from + i));
  for (; i < n; ++i) to[i] = narrow<T>(from[i]);
}

/// n elements as Compute<T>: the elements themselves, or widened into `buffer`.
template <class T>
ENGINE_INLINE const Compute<T>* load(const T* p, int64_t n, Compute<T>* buffer) {
  if constexpr (std::is_same_v<T, Compute<T>>)
    return p;
  else {
    widen_n(p, buffer, n);
    return buffer;
  }
}

/// dst = values, or dst += values (added in Compute<T>, rounded once).
template <class T>
static inline void store(T* dst, const Compute<T>* values, int64_t n, bool accumulate) {
  if constexpr (std::is_same_v<T, Compute<T>>) {
    if (accumulate)
      out(dst, n) += in(values, n);
    else if (dst != values)
      out(dst, n) = in(values, n);
  } else {
    if (!accumulate) return narrow_n(values, dst, n);
    constexpr int64_t kLanes = kPacketLanes<Compute<T>>;
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
      store_packet(dst + i, simd::padd(load_packet(dst + i), load_packet(values + i)));
    for (; i < n; ++i) dst[i] = narrow<T>(widen(dst[i]) + values[i]);
  }
}

/// Calls f(offset, n) for chunks of at most kChunk elements of [begin, end).
template <class F>
ENGINE_INLINE void each_chunk(int64_t begin, int64_t end, F&& f) {
  for (int64_t i = begin; i < end; i += kChunk) f(i, end - i < kChunk ? end - i : kChunk);
}

template <class T>
ENGINE_INLINE T* scratch(int64_t n, int slot = 0) {
  return static_cast<T*>(thread_scratch(size_t(n) * sizeof(T), slot));
}

}  // namespace engine::cpu::ENGINE_ISA
