// Multi-head attention with every slot that can stand inside it: q, k, v and ctx norms, inner and outer head
// scale. Read first: norm_spec.h, engine/ops/attention.h. Then: block.h.
#pragma once

#include "engine/ops/rope.h"
#include "nn/context.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace nn {

struct AttentionSizes {
  int64_t heads = 1, kv_heads = 1, head_dim = 1;
  double scale = 0;              // of the scores; 0: 1/sqrt(head_dim)
  double softcap = 0;            // tanh cap of the scores; 0: none
  int64_t window = 0;            // a query sees the last so many keys; 0: all
  engine::RopeAngles rope;       // no frequencies: no rotary positions
  engine::RopeAngles long_rope;  // those of rows of more than long_from tokens, if that is not 0
  int64_t long_from = 0;
  bool unit_qk = false;  // nGPT: after RoPE q and k are normalised per head and scaled by qk_scale
  double qk_factor = 1;  // nGPT: effective qk_scale = stored * factor
};

class Attention {
 public:
  Attention(const AttnSlots& slots, const AttentionSizes& sizes, const Scope& scope,
            const NormDefaults& defaults);

  /// u [B, T, d] in the compute dtype; the branch's output before the `out` norm, [B, T, d], in the stream's
  /// dtype. `layer` picks the cache.
  Tensor operator()(const Tensor& u, const Context& context, int64_t layer) const;

 private:
  Tensor unit_heads(const Tensor& x, int64_t heads) const;
  Tensor placed(const Tensor& x, const NormLayer& norm, int64_t heads, int64_t past,
                const Context& context) const;
  Tensor attend(Tensor q, Tensor k, Tensor v, KvCache* cache, const Context& context, int64_t layer,
                const Tensor& gain) const;
  Tensor attend_rows(const Tensor& q, const Tensor& k, const Tensor& v, const Context& context,
                     int64_t layer) const;

  AttentionSizes sizes_;
  HeadGain gain_kind_;
  LinearLayer qkv_, out_;
  NormLayer q_norm_, k_norm_, v_norm_, ctx_norm_;
  Parameter *gain_ = nullptr, *qk_scale_ = nullptr;
};

}  // namespace nn
