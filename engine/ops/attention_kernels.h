// Kernel arguments of attention.h. Rows of q, k, v and of their gradients may lie apart, and so may the
// batch entries of q, k and v (a key/value cache with room to grow): strides in elements. out, dout and lse
// are contiguous.
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"

namespace engine {

struct AttentionRows {
  const void* data;
  int64_t batch_stride, row_stride;
};

struct AttentionShape {
  int64_t batch, heads, kv_heads, queries, keys, n;
  double scale, softcap, dropout;  // softcap 0 and dropout 0: none
  uint64_t seed, offset;           // of dropout
  const uint64_t* seed_memory;     // device memory with the seed, or null
  const uint8_t* key_mask;         // [batch, keys], 0: nobody attends to the key; null: no mask
  bool causal;
  int64_t window;  // causal: a query sees the last so many of its keys; 0: all
  DType dtype;
  DType compute;  // what products and softmax are formed in: compute_dtype(dtype), or f64 for f32
};

/// The first key that the query at position `position` of the keys may see.
constexpr int64_t first_key_of(const AttentionShape& s, int64_t position) {
  return s.window > 0 && position >= s.window ? position - s.window + 1 : 0;
}

struct AttentionForward {
  AttentionShape shape;
  AttentionRows q, k, v;
  void* out;   // [batch, queries, heads * n]
  void* wide;  // the same before it is rounded, shape.compute; null: not wanted
  void* lse;   // [batch, heads, queries] log-sum-exp of each row's scores, shape.compute; null: not wanted
  const void*
      gain;  // on a GPU: [heads] in the compute dtype of `dtype`, times which a head's out is; null: 1
};

struct AttentionGradient {
  void* data;  // null: not wanted
  int64_t row_stride;
  bool accumulate;
};

struct AttentionBackward {
  AttentionShape shape;
  AttentionRows q, k, v;
  const void* out;  // in shape.compute: D must cancel sum p dp, which rounding would spoil
  const void *dout, *lse;
  AttentionGradient dq, dk, dv;
  void* partials;  // attention_scratch() elements of shape.compute; null when that is 0
  const void* gain;  // as in forward: out and dout are those of the heads times their gains
  void* dgain;       // [heads], as gain; null: not wanted
  bool accumulate_dgain;
};

constexpr int64_t kAttentionQueries = 64;  // rows of queries a task works on
constexpr int64_t kAttentionKeys = 64;     // keys it meets at a time
constexpr int64_t kAttentionLanes = 16;    // at least the lanes of any processor

/// In how many parts the queries that share a key/value head are spread, each with its own partial sums of
/// dk and dv: one when batch entries and heads are tasks enough. Depends on shapes only.
constexpr int64_t attention_parts(const AttentionShape& s) {
  constexpr int64_t kTasks = 16;
  const int64_t tasks = s.batch * s.kv_heads;
  const int64_t units = (s.heads / s.kv_heads) * ((s.queries + kAttentionQueries - 1) / kAttentionQueries);
  if (tasks >= kTasks || tasks == 0 || units == 0) return 1;
  const int64_t parts = (kTasks + tasks - 1) / tasks;
  return parts < units ? parts : units;
}

/// On the CPU, with more than one part: partial sums of dk and dv, [batch, kv_heads, parts, 2, keys, n
/// rounded up to kAttentionLanes]. Other devices may want others.
constexpr int64_t attention_scratch(Device, const AttentionBackward& a) {
  const AttentionShape& s = a.shape;
  const int64_t parts = attention_parts(s),
                lanes = (s.n + kAttentionLanes - 1) / kAttentionLanes * kAttentionLanes;
  return parts > 1 ? s.batch * s.kv_heads * parts * 2 * s.keys * lanes : 0;
}

ENGINE_KERNEL(attention_forward, AttentionForward)
ENGINE_KERNEL(attention_backward, AttentionBackward)

}  // namespace engine
