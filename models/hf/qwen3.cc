// Qwen3 and its mixture of experts (Yang et al. 2025, arXiv 2505.09388): norms on the heads of q and k. Read
// first: llama_family.h.
#include "engine/base/check.h"
#include "models/hf/llama_family.h"

namespace models {
namespace {

using engine::Json;
using C = ModelConfig;

HfArchitecture qwen3_like(const char* model_type, const char* class_name) {
  return {
      .model_type = model_type,
      .class_name = class_name,
      .prefix = "model.",
      .base = hf_rope_lm("attn{in=rms q=rms.head k=rms.head} ffn{in=rms} final=rms"),
      .keys = {hf_attention_bias(), hf_activation("hidden_act", gated_activations(), "silu")},
      .ignored = {"attention_dropout"},
      .names = hf_family_names(
          hf_joined(hf_pre_norm_rows(),
                    {{"layers.{N}.attn.q_norm.weight", {"model.layers.{N}.self_attn.q_norm.weight"}},
                     {"layers.{N}.attn.k_norm.weight", {"model.layers.{N}.self_attn.k_norm.weight"}}})),
      .dropped = hf_family_dropped(),
  };
}

/// The older name and the newer one of one number; either or both may stand in a file.
std::vector<HfKey> experts() {
  const HfKey older = hf_default_size("num_experts", &C::experts);
  HfKey newer = hf_default_size("num_local_experts", &C::experts);
  newer.read = [](C& c, const HfValue& v) {
    const int64_t before = c.experts;
    if (!v.value.is_null()) c.experts = engine::json_int(v.value, v.what, 1, int64_t(1) << 26);
    if (c.experts == 0) c.experts = 128;
    engine::check(before == 0 || before == c.experts, v.what, " ", c.experts, " contradicts num_experts ",
                  before);
  };
  return {older, newer};
}

/// Every layer is a mixture: nothing else is said by the two keys about dense ones.
HfKey no_dense_layers() {
  return {"mlp_only_layers",
          Json::array(),
          [](C&, const HfValue& v) {
            engine::check(v.value.is_null() || v.value == Json::array(), v.what, " ",
                          engine::json_text(v.value).substr(0, 40),
                          " cannot be said here: all layers have experts");
          },
          {},
          Keep::yes};
}

}  // namespace

HfArchitecture hf_qwen3() {
  HfArchitecture qwen3 = qwen3_like("qwen3", "Qwen3ForCausalLM");
  qwen3.keys =
      hf_joined(hf_joined(hf_family_keys({.kv_heads = 32}), qwen3.keys),
                hf_joined(hf_optional_window(true), {hf_default_size("head_dim", &C::head_dim, 128)}));
  return qwen3;
}

HfArchitecture hf_qwen3_moe() {
  HfArchitecture moe = qwen3_like("qwen3_moe", "Qwen3MoeForCausalLM");
  std::vector<HfKey> family = hf_family_keys({.kv_heads = 4});
  std::erase_if(family, [](const HfKey& key) { return key.name == "intermediate_size"; });
  moe.keys =
      hf_joined(hf_joined(hf_joined(family, moe.keys), hf_joined(hf_optional_window(false), experts())),
                {hf_default_size("head_dim", &C::head_dim),
                 hf_default_size("moe_intermediate_size", &C::ffn_width, 768),
                 hf_default_size("num_experts_per_tok", &C::experts_per_token, 8),
                 hf_flag("norm_topk_prob", &C::router_normalize, false), no_dense_layers(),
                 hf_only("decoder_sparse_step", 1, "all layers have experts")});
  moe.ignored = hf_joined(moe.ignored, {"output_router_logits", "router_aux_loss_coef", "intermediate_size"});
  moe.names = hf_joined(hf_expert_names("model.layers.{N}.mlp.gate", "model.layers.{N}.mlp.experts.{E}",
                                        "up_proj", "gate_proj", "down_proj"),
                        moe.names);
  return moe;
}

}  // namespace models
