// Scaled dot-product attention that never holds the T x S score matrix (flash attention).
//
//   s = scale q k^T;  s = cap tanh(s / cap) if capped;  p = softmax(s + mask);  o = dropout(p) v
//
// Saved for backward: q, k, v, o and the log-sum-exp of each row, O(T) memory. Blocks of keys are visited in
// order, blocks above the diagonal, or wholly
// outside the window, are skipped. Softmax in f32 (f64 in f64). Grouped heads: query head h
// reads key/value head h / (heads / kv_heads). Dropout is drawn from Philox by (row, column) and drawn again
// in backward. Source: Dao et al., arXiv 2205.14135; Dao, arXiv 2307.08691.
#pragma once

#include "engine/autograd/tape.h"
#include "engine/base/philox.h"

namespace engine {

struct AttentionOptions {
  int64_t heads = 1, kv_heads = 1;
  bool causal = false;  // query t sees keys up to offset + t, offset = S - T
  int64_t window = 0;   // causal alone: and of them the last so many, its own included; 0: all
  double scale = 0;     // 0: 1/sqrt(n)
  double softcap = 0;   // 0: none
  double dropout = 0;
  Rng* rng = nullptr;  // needed when dropout > 0; advances
  /// u8 [B, S]: 0 marks keys that nobody attends to. A query that sees no key at all (padding) attends to its
  /// own position.
  Tensor key_mask;
  /// [heads] in the compute dtype, or undefined: o times a gain for each head, as head_scale() gives it; on a
  /// GPU in the last multiplication of o.
  Tensor gain = {};
};

/// q [B, T, heads * n], k and v [B, S, kv_heads * n], each with uniform rows (slices of one projection are
/// fine), one dtype. Output [B, T, heads * n], contiguous.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& options);

}  // namespace engine
