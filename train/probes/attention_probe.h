// What a forward pass shows of attention and of the stream: entropies of attention rows, the largest score,
// the size of the residual stream behind each sublayer. Layer-0 scores that overflow in f16 are the failure
// that NormFormer's appendix names. Sums over several batches. Read first: nn/context.h.
#pragma once

#include <optional>
#include <vector>

#include "nn/context.h"

namespace train {

/// Means over rows and queries (and heads, but for per_head); padded queries do not count.
struct LayerAttention {
  double entropy = 0;                // -sum p ln p, nats
  std::optional<double> relative;    // the same over ln n, of queries that see n >= 2 keys
  std::vector<double> per_head;      // entropy
  double logit_max = 0;              // largest |score|, after scale and cap; NaN where a score is
  double attn_rms = 0, ffn_rms = 0;  // root mean square of the stream behind each sublayer
};

class AttentionProbe : public nn::Probe {
 public:
  /// The padding of the batch that comes next, on the host; undefined: none. Queries, keys and streams may
  /// lie on any device: what is made of them is computed on the host, in double.
  void begin_batch(const engine::Tensor& key_mask) { key_mask_ = key_mask; }
  void on_attention(int64_t layer, const engine::Tensor& q, const engine::Tensor& k,
                    const engine::AttentionOptions& options) override;
  void on_join(int64_t layer, bool feed_forward, const engine::Tensor& stream) override;

  std::vector<LayerAttention> result() const;

 private:
  struct Sums {
    std::vector<double> entropy;  // of each head
    double queries = 0, relative = 0, wide_queries = 0, logit_max = 0;
    double squares[2] = {0, 0}, elements[2] = {0, 0};
  };
  Sums& layer_sums(int64_t layer);

  engine::Tensor key_mask_;
  std::vector<Sums> sums_;
};

}  // namespace train
