// What a forward pass is told besides its input: dtypes, dropout, random numbers, checkpointing, keys and
// values cached from earlier tokens. Results are returned, never left in here: a checkpointed layer runs
// twice.
#pragma once

#include <vector>

#include "engine/base/philox.h"
#include "engine/ops/attention.h"
#include "nn/parameters.h"
#include "nn/precision.h"

namespace nn {

struct Dropout {
  double residual = 0, attention = 0, activation = 0;
};

/// Keys and values of one layer for tokens seen so far: [B, capacity, kv_heads * n], the first `length` rows
/// valid; it grows when it is full.
struct KvCache {
  Tensor keys, values;
  int64_t length = 0;
};

/// For rows that each continue tokens of their own: a list of layers' caches for every row of the batch, each
/// of one row; null: the row only fills the batch, and what it gives means nothing.
using RowCaches = std::vector<std::vector<KvCache>*>;

/// Shown what goes on in every sublayer, outside the tape: for statistics and Admin's profiling.
struct Probe {
  virtual ~Probe() = default;
  /// `residual` is the joined stream before this branch, `branch` the branch's output.
  virtual void on_branch(int64_t, bool /*feed_forward*/, const Tensor& /*residual*/,
                         const Tensor& /*branch*/) {}
  /// Queries and keys as the scores see them: normed, rotated, with the cached ones.
  virtual void on_attention(int64_t, const Tensor& /*q*/, const Tensor& /*k*/,
                            const engine::AttentionOptions&) {}
  /// The stream behind the sublayer: joined, and normed where a norm stands there.
  virtual void on_join(int64_t, bool /*feed_forward*/, const Tensor& /*stream*/) {}
};

struct Context {
  Precision precision;
  Dropout dropout;
  engine::Rng* rng = nullptr;  // needed when any dropout is on
  bool checkpointing = false;  // recompute each layer in backward
  Tensor key_mask;             // u8 [B, T], undefined: every key counts
  bool causal = true;
  std::vector<KvCache>* cache = nullptr;  // one a layer, when generating
  const RowCaches* rows = nullptr;        // in its place, for rows of unlike lengths
  Probe* probe = nullptr;
};

}  // namespace nn
