// Mistral (Jiang et al. 2023, arXiv 2310.06825): Llama's layer without biases, attention to a window in its
// first versions. Read first: llama_family.h.
#include "models/hf/llama_family.h"

namespace models {

using C = ModelConfig;

HfArchitecture hf_mistral() {
  return {
      .model_type = "mistral",
      .class_name = "MistralForCausalLM",
      .prefix = "model.",
      .base = hf_rope_lm("attn{in=rms} ffn{in=rms} final=rms"),
      .keys =
          hf_joined(hf_family_keys({.kv_heads = 8}),
                    {hf_default_size("head_dim", &C::head_dim),
                     hf_no_bias("attention_bias", &BiasChoice::qkv), hf_no_bias("mlp_bias", &BiasChoice::ffn),
                     hf_window_of_all(4096), hf_activation("hidden_act", gated_activations(), "silu")}),
      .ignored = {"attention_dropout"},
      .names = hf_family_names(hf_pre_norm_rows()),
      .dropped = hf_family_dropped(),
  };
}

}  // namespace models
