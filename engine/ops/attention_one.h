// Attention of a single query: what generating one token asks for. Read before: attention_kernels.h.
//
// The kernel for blocks of queries has a lane for each query, so that for one query 15 of 16 would be idle.
// Here a key is a dot product along channels, a value a multiple of a row. Keys and values are read once,
// where they lie, several heads of a position together: a head's own part of it is too short to be read fast.
// Without dropout only, which generating has not. Included by attention_cpu.cc only.
#pragma once

#include "engine/cpu/row.h"
#include "engine/ops/attention_kernels.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

inline bool has_one_query(const AttentionShape& s) { return s.queries == 1 && s.dropout == 0; }

/// Scores p of `keys` keys of one head become weights that add up to one; returns their log-sum-exp. The
/// query stands at the last position, so causality hides no key from it; where the mask leaves none, it sees
/// its own.
template <class C>
C softmax_of_one(const AttentionShape& s, int64_t keys, const uint8_t* mask, bool blind, C* p) {
  auto weights = out(p, keys);
  if (s.softcap > 0) weights = (weights * C(1 / s.softcap)).tanh() * C(s.softcap);
  const auto hide = [&](C value) {
    for (int64_t j = 0; mask && j < keys; ++j)
      if (!mask[j] && !(blind && j == keys - 1)) p[j] = value;
  };
  hide(-std::numeric_limits<C>::infinity());
  const C top = weights.maxCoeff();
  weights = (weights - top).exp();
  hide(0);  // exactly, where the vector exp gives a denormal
  const C sum = weights.sum();
  weights /= sum;
  return top + std::log(sum);
}

/// x . y
template <class T, class C = Compute<T>>
ENGINE_INLINE C dot_product(const T* x, const C* y, int64_t n) {
  Packet<C> sum = simd::pset1<Packet<C>>(C(0));
  C rest = 0;
  each_packet<C>(n, [&](auto lane, int64_t i) {
    using L = decltype(lane);
    if constexpr (std::is_same_v<L, C>)
      rest += widen(x[i]) * y[i];
    else
      sum = simd::pmadd(load_packet(x + i), load_packet(y + i), sum);
  });
  return simd::predux(sum) + rest;
}

/// sums += factor x
template <class T, class C = Compute<T>>
ENGINE_INLINE void add_multiple(const T* x, C factor, C* sums, int64_t n) {
  each_packet<C>(n, [&](auto lane, int64_t i) {
    using L = decltype(lane);
    store_as(sums + i, simd::pmadd(load_as<L>(x + i), simd::pset1<L>(factor), load_as<L>(sums + i)));
  });
}

/// Heads [begin, end) of batch entry b.
template <class T>
void attend_one(const AttentionForward& a, int64_t b, int64_t begin, int64_t end) {
  using C = Compute<T>;
  const AttentionShape& s = a.shape;
  const int64_t first = first_key_of(s, s.keys - 1), keys = s.keys - first;  // within the window
  const int64_t n = s.n, heads = end - begin, group = s.heads / s.kv_heads, row = b * s.heads + begin;
  // Of weights: Eigen's sums depend on where in a line they begin.
  const int64_t stride = (keys + 15) / 16 * 16;
  C* weights = scratch<C>(heads * (2 * n + stride));
  C *q = weights + heads * stride, *sums = q + heads * n;
  const auto row_of = [&](const AttentionRows& rows, int64_t head, int64_t j) {
    return static_cast<const T*>(rows.data) + b * rows.batch_stride + j * rows.row_stride + head * n;
  };
  widen_n(row_of(a.q, begin, 0), q, heads * n);
  out(q, heads * n) *= C(s.scale);
  for (int64_t j = 0; j < keys; ++j)
    for (int64_t h = 0; h < heads; ++h)
      weights[h * stride + j] = dot_product(row_of(a.k, (begin + h) / group, first + j), q + h * n, n);

  const uint8_t* mask = s.key_mask ? s.key_mask + b * s.keys + first : nullptr;
  bool blind = mask != nullptr;
  for (int64_t j = 0; j < keys && blind; ++j) blind = !mask[j];
  for (int64_t h = 0; h < heads; ++h) {
    const C lse = softmax_of_one(s, keys, mask, blind, weights + h * stride);
    if (a.lse) static_cast<C*>(a.lse)[row + h] = lse;
  }
  out(sums, heads * n).setZero();
  for (int64_t j = 0; j < keys; ++j)
    for (int64_t h = 0; h < heads; ++h)
      add_multiple(row_of(a.v, (begin + h) / group, first + j), weights[h * stride + j], sums + h * n, n);
  store(static_cast<T*>(a.out) + row * n, sums, heads * n, false);
  if (a.wide) store(static_cast<C*>(a.wide) + row * n, sums, heads * n, false);
}

template <class T>
void forward_one(const AttentionForward& a) {
  const AttentionShape& s = a.shape;
  // Any number of parts gives the same bits.
  const int64_t parts = s.heads < thread_count() ? s.heads : thread_count();
  parallel_for(s.batch * parts, [&](int64_t task) {
    const int64_t part = task % parts;
    attend_one<T>(a, task / parts, part * s.heads / parts, (part + 1) * s.heads / parts);
  });
}

}  // namespace
}  // namespace engine::cpu::ENGINE_ISA
