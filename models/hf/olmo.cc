// OLMo-2 (arXiv 2501.00656) and OLMoE (arXiv 2409.02060): norms over the full width of q and k. Read first:
// llama_family.h.
#include "models/hf/llama_family.h"

namespace models {
namespace {

using C = ModelConfig;

const std::vector<NameRow> qk_norms = {
    {"layers.{N}.attn.q_norm.weight", {"model.layers.{N}.self_attn.q_norm.weight"}},
    {"layers.{N}.attn.k_norm.weight", {"model.layers.{N}.self_attn.k_norm.weight"}}};

}  // namespace

HfArchitecture hf_olmo2() {
  return {
      .model_type = "olmo2",
      .class_name = "Olmo2ForCausalLM",
      .prefix = "model.",
      .base = hf_rope_lm("attn{q=rms.full k=rms.full out=rms} ffn{out=rms} final=rms"),
      .keys = hf_joined(hf_family_keys({.eps = 1e-5}),
                        {hf_attention_bias(), hf_no_bias("mlp_bias", &BiasChoice::ffn),
                         hf_activation("hidden_act", gated_activations(), "silu")}),
      .ignored = {"attention_dropout"},
      .names = hf_family_names(hf_joined(
          qk_norms,
          {{"layers.{N}.attn.out_norm.weight", {"model.layers.{N}.post_attention_layernorm.weight"}},
           {"layers.{N}.ffn.out_norm.weight", {"model.layers.{N}.post_feedforward_layernorm.weight"}}})),
      .dropped = hf_family_dropped(),
  };
}

HfArchitecture hf_olmoe() {
  return {
      .model_type = "olmoe",
      .class_name = "OlmoeForCausalLM",
      .prefix = "model.",
      .base = hf_rope_lm("attn{in=rms q=rms.full k=rms.full} ffn{in=rms} final=rms"),
      .keys = hf_joined(
          hf_family_keys({.eps = 1e-5}),
          {hf_attention_bias(), hf_size("num_experts", &C::experts),
           hf_size("num_experts_per_tok", &C::experts_per_token),
           hf_flag("norm_topk_prob", &C::router_normalize, false), hf_no_bias("mlp_bias", &BiasChoice::ffn),
           hf_activation("hidden_act", gated_activations(), "silu"),
           hf_only("clip_qkv", nullptr, "projections are not clipped")}),
      .ignored = {"attention_dropout", "output_router_logits", "router_aux_loss_coef", "router_z_loss_coef"},
      .names = hf_joined(hf_expert_names("model.layers.{N}.mlp.gate", "model.layers.{N}.mlp.experts.{E}",
                                         "up_proj", "gate_proj", "down_proj"),
                         hf_family_names(hf_joined(hf_pre_norm_rows(), qk_norms))),
      .dropped = hf_family_dropped(),
  };
}

}  // namespace models
