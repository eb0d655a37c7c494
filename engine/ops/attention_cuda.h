// What the kernels of attention share: who sees whom, scores, dropout. Read first: attention_kernels.h.
// Included by kernel files.
#pragma once

#include "engine/cuda/team.h"
#include "engine/ops/attention_kernels.h"
#include "engine/ops/dropout_cuda.h"

namespace engine::ENGINE_GPU {

/// The keys that one query of one head may see.
struct Visible {
  int batch, head, query;
  int position;    // of the query among the keys
  int begin, end;  // keys [begin, end) may be visible
  bool blind;      // the mask leaves it none: it sees its own position
};

GPU_INLINE Visible visible_of(const AttentionShape& s, int64_t batch, int64_t head, int64_t query) {
  Visible v;
  v.query = int(query), v.head = int(head), v.batch = int(batch);
  v.position = int(s.keys - s.queries) + v.query;
  v.end = s.causal ? v.position + 1 : int(s.keys);
  v.begin = int(first_key_of(s, v.position));
  v.blind = false;
  if (s.key_mask) {
    const auto mask = global(s.key_mask) + v.batch * s.keys;
    v.blind = true;
    for (int key = v.begin; key < v.end && v.blind; ++key) {  // the first key is hardly ever masked
      const uint8_t open = mask[key];
      v.blind = open == 0;
    }
  }
  return v;
}
/// `row` counts (batch entry, head, query).
GPU_INLINE Visible visible_of(const AttentionShape& s, int64_t row) {
  return visible_of(s, row / s.queries / s.heads, row / s.queries % s.heads, row % s.queries);
}
/// No query from here on sees the key.
GPU_INLINE int64_t end_of_queries(const AttentionShape& s, int64_t key) {
  const int64_t end = key + s.window - (s.keys - s.queries);
  return s.window > 0 && end < s.queries ? end : s.queries;
}
/// Whether the query sees the key; v.end is respected by the caller.
GPU_INLINE bool sees(const AttentionShape& s, const Visible& v, int key) {
  if (key < v.begin) return false;
  if (!s.key_mask) return true;
  const uint8_t open = (global(s.key_mask) + v.batch * s.keys)[key];
  return open != 0 || (v.blind && key == v.position);
}

/// Row `i` of a head, as kernels read it.
template <class T>
GPU_INLINE Global<const T> row_of(const AttentionRows& rows, int64_t batch, int64_t i, int64_t head,
                                  int64_t n) {
  return global(static_cast<const T*>(rows.data)) +
         (batch * rows.batch_stride + i * rows.row_stride + head * n);
}

/// x . y over n channels, by one thread.
template <class C, class X, class Y>
GPU_INLINE C dot_of(const Global<X>& x, const Global<Y>& y, int64_t n) {
  C sum = 0;
  for (int64_t c = 0; c < n; ++c) {
    C a[1], b[1];
    load_n(x + c, a);
    load_n(y + c, b);
    sum += a[0] * b[0];
  }
  return sum;
}

/// What a head's output is multiplied by: gain, in the compute dtype of T.
template <class T>
GPU_INLINE Compute<T> gain_of(const void* gain, int64_t head) {
  Compute<T> g = 1;
  if (gain) g = global(static_cast<const Compute<T>*>(gain))[head];
  return g;
}

template <class C>
struct Score {
  C value, slope;  // after the cap, and its derivative
};
template <class C>
GPU_INLINE Score<C> capped(const AttentionShape& s, C score) {
  if (s.softcap <= 0) return {score, C(1)};
  const C t = std::tanh(score * C(1 / s.softcap));
  return {t * C(s.softcap), 1 - t * t};
}

/// The dropout factor of a weight: 0 or 1 / (1 - p).
template <class C>
GPU_INLINE C weight_factor(const AttentionShape& s, const Visible& v, int key) {
  if (s.dropout <= 0) return 1;
  const int64_t row = (int64_t(v.batch) * s.heads + v.head) * s.queries + v.query, per_row = (s.keys + 3) / 4;
  return dropout_factor<C>(mask_seed(s.seed, s.seed_memory), s.offset, row * per_row * 4 + key, s.dropout);
}

}  // namespace engine::ENGINE_GPU
