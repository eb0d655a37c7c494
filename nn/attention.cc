// Read first: attention.h.
#include "nn/attention.h"

#include <algorithm>

#include "engine/ops/attention.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/head_scale.h"
#include "engine/ops/view.h"
#include "nn/sphere.h"

namespace nn {
namespace {

// Appends k and v behind the tokens seen so far and returns all of them.
std::pair<Tensor, Tensor> extend(KvCache& cache, const Tensor& k, const Tensor& v) {
  const int64_t total = cache.length + k.size(1);
  if (total > cache.keys.size(1)) {
    const int64_t capacity = std::max(total, 2 * cache.keys.size(1));
    for (Tensor* kept : {&cache.keys, &cache.values}) {
      const Tensor larger =
          Tensor::zeros({kept->size(0), capacity, kept->size(2)}, kept->dtype(), kept->device());
      larger.slice(1, 0, cache.length).copy_from(kept->slice(1, 0, cache.length));
      *kept = larger;
    }
  }
  cache.keys.slice(1, cache.length, total).copy_from(k);
  cache.values.slice(1, cache.length, total).copy_from(v);
  return {cache.keys.slice(1, 0, total), cache.values.slice(1, 0, total)};
}

}  // namespace

Attention::Attention(const AttnSlots& slots, const AttentionSizes& sizes, const Scope& scope,
                     const NormDefaults& defaults)
    : sizes_(sizes),
      gain_kind_(slots.gain),
      qkv_(scope.sub("qkv")),
      out_(scope.sub("out")),
      q_norm_(slots.q, scope.sub("q_norm"), defaults, sizes.heads),
      k_norm_(slots.k, scope.sub("k_norm"), defaults, sizes.kv_heads),
      v_norm_(slots.v, scope.sub("v_norm"), defaults, sizes.kv_heads),
      ctx_norm_(slots.ctx, scope.sub("ctx_norm"), defaults, sizes.heads) {
  if (gain_kind_ != HeadGain::none) gain_ = scope.get("head_gain");
  if (sizes.unit_qk) qk_scale_ = scope.get("qk_scale");
}

Tensor Attention::unit_heads(const Tensor& x, int64_t heads) const {
  // Grouped keys share the scale of the first query head of their group's block, as many as there are.
  const Tensor scale = engine::slice(use(*qk_scale_), 0, 0, heads * sizes_.head_dim);
  return engine::mul(unit(x, heads), engine::cast(engine::affine(scale, sizes_.qk_factor), x.dtype()));
}

/// Normed and turned by position; rounded to the compute dtype once.
Tensor Attention::placed(const Tensor& x, const NormLayer& norm, int64_t heads, int64_t past,
                         const Context& context) const {
  const DType dtype = context.precision.compute;
  if (sizes_.rope.frequencies.empty()) return norm ? norm(x, dtype) : x;
  const bool is_long = sizes_.long_from > 0 && past + x.size(1) > sizes_.long_from;
  engine::check(!is_long || past == 0 || past > sizes_.long_from, "attention: a row that grows beyond ",
                sizes_.long_from, " tokens changes its angles and must be read again");
  const engine::RopeAngles& angles = is_long ? sizes_.long_rope : sizes_.rope;
  if (norm) return engine::norm_rope(x, norm.arguments(), heads, angles, past, dtype);
  return engine::cast(engine::rope(x, heads, angles, past), dtype);
}

/// What the heads read: positions, keys and values seen before, softmax. `gain`: of each head, or undefined.
Tensor Attention::attend(Tensor q, Tensor k, Tensor v, KvCache* cache, const Context& context, int64_t layer,
                         const Tensor& gain) const {
  const int64_t past = cache ? cache->length : 0;
  q = placed(q, q_norm_, sizes_.heads, past, context);
  k = placed(k, k_norm_, sizes_.kv_heads, past, context);
  if (v_norm_) v = v_norm_(v, context.precision.compute);
  if (sizes_.unit_qk) q = unit_heads(q, sizes_.heads), k = unit_heads(k, sizes_.kv_heads);
  if (cache) {
    const int64_t tokens = k.size(1);
    std::tie(k, v) = extend(*cache, k, v);
    cache->length += tokens;
  }
  const engine::AttentionOptions options{.heads = sizes_.heads,
                                         .kv_heads = sizes_.kv_heads,
                                         .causal = context.causal,
                                         .window = sizes_.window,
                                         .scale = sizes_.scale,
                                         .softcap = sizes_.softcap,
                                         .dropout = context.dropout.attention,
                                         .rng = context.rng,
                                         .key_mask = context.key_mask,
                                         .gain = gain};
  if (context.probe) context.probe->on_attention(layer, q, k, options);
  return engine::attention(q, k, v, options);
}

/// The same for each row by itself, so that a row's numbers are those that it has alone.
Tensor Attention::attend_rows(const Tensor& q, const Tensor& k, const Tensor& v, const Context& context,
                              int64_t layer) const {
  const RowCaches& rows = *context.rows;
  engine::check(int64_t(rows.size()) == q.size(0), "attention: ", rows.size(), " caches for ", q.size(0),
                " rows");
  const Tensor o = Tensor::zeros({q.size(0), q.size(1), sizes_.heads * sizes_.head_dim},
                                 context.precision.compute, q.device());
  for (int64_t b = 0; b < q.size(0); ++b)
    if (rows[size_t(b)] != nullptr)
      o.slice(0, b, b + 1)
          .copy_from(attend(q.slice(0, b, b + 1), k.slice(0, b, b + 1), v.slice(0, b, b + 1),
                            &(*rows[size_t(b)])[size_t(layer)], context, layer, {}));
  return o;
}

Tensor Attention::operator()(const Tensor& u, const Context& context, int64_t layer) const {
  const DType dtype = context.precision.compute, wide = context.precision.stream;
  const int64_t q_width = sizes_.heads * sizes_.head_dim, kv_width = sizes_.kv_heads * sizes_.head_dim;

  const auto parts = engine::split(qkv_(u), -1, {q_width, kv_width, kv_width});
  const Tensor &q = parts[0], &k = parts[1], &v = parts[2];
  KvCache* cache = context.cache ? &(*context.cache)[size_t(layer)] : nullptr;
  const bool inner = gain_kind_ == HeadGain::inner, joined = inner && !ctx_norm_ && !context.rows;
  Tensor o = context.rows ? attend_rows(q, k, v, context, layer)
                          : attend(q, k, v, cache, context, layer, joined ? use(*gain_) : Tensor());
  if (inner && !joined) o = engine::head_scale(ctx_norm_ ? engine::cast(o, wide) : o, use(*gain_));
  if (ctx_norm_) o = ctx_norm_(o, dtype);
  o = out_(o, {.dtype = wide});  // joins the stream as the product gives it
  if (gain_kind_ == HeadGain::outer) o = engine::head_scale(o, use(*gain_));
  return o;
}

}  // namespace nn
