// Mixtral (Jiang et al. 2024, arXiv 2401.04088): Mistral's layer with a mixture of experts, whose chosen
// weights add up to one. Read first: llama_family.h.
#include "models/hf/llama_family.h"

namespace models {

using C = ModelConfig;

HfArchitecture hf_mixtral() {
  ModelConfig base = hf_rope_lm("attn{in=rms} ffn{in=rms} final=rms");
  base.router_normalize = true;
  return {
      .model_type = "mixtral",
      .class_name = "MixtralForCausalLM",
      .prefix = "model.",
      .base = base,
      .keys = hf_joined(hf_family_keys({.eps = 1e-5, .theta = 1e6, .kv_heads = 8}),
                        {hf_default_size("head_dim", &C::head_dim), hf_window_of_all(0),
                         hf_default_size("num_local_experts", &C::experts, 8),
                         hf_default_size("num_experts_per_tok", &C::experts_per_token, 2),
                         hf_alias("num_experts", &C::experts, "num_local_experts"),
                         hf_no_bias("attention_bias", &BiasChoice::qkv),
                         hf_activation("hidden_act", gated_activations(), "silu")}),
      .ignored = {"attention_dropout", "output_router_logits", "router_aux_loss_coef", "router_jitter_noise"},
      .names = hf_joined(hf_expert_names("model.layers.{N}.block_sparse_moe.gate",
                                         "model.layers.{N}.block_sparse_moe.experts.{E}", "w3", "w1", "w2"),
                         hf_family_names(hf_pre_norm_rows())),
      .dropped = hf_family_dropped(),
  };
}

}  // namespace models
