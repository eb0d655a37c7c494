// Qwen2 and Qwen2.5 (Yang et al. 2024, arXiv 2407.10671): Llama's layer with biases on q, k and v. Read
// first: llama_family.h.
#include "models/hf/llama_family.h"

namespace models {

HfArchitecture hf_qwen2() {
  ModelConfig base = hf_rope_lm("attn{in=rms} ffn{in=rms} final=rms");
  base.bias.qkv = true;
  return {
      .model_type = "qwen2",
      .class_name = "Qwen2ForCausalLM",
      .prefix = "model.",
      .base = base,
      .keys = hf_joined(hf_joined(hf_family_keys({.kv_heads = 32}), hf_optional_window(true)),
                        {hf_default_size("head_dim", &ModelConfig::head_dim),
                         hf_only("use_mrope", false, "rotary positions count tokens alone"),
                         hf_activation("hidden_act", gated_activations(), "silu")}),
      .ignored = {"attention_dropout"},
      .names = hf_family_names(hf_pre_norm_rows()),
      .dropped = hf_family_dropped(),
  };
}

}  // namespace models
