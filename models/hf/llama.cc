// Llama (Touvron et al. 2023, arXiv 2302.13971) up to 3.1 (arXiv 2407.21783). Read first: llama_family.h.
#include <algorithm>

#include "engine/base/check.h"
#include "models/hf/llama_family.h"

namespace models {

using C = ModelConfig;

HfArchitecture hf_llama() {
  const HfKey ffn_bias = {"mlp_bias", engine::Json(false),
                          [](C& c, const HfValue& v) { c.bias.ffn = engine::json_bool(v.value, v.what); },
                          [](const C& c) { return engine::Json(c.bias.ffn); }};
  // transformers' mask has no window, its cache has one: up to the window they mean the same.
  const HfKey window = {"sliding_window",
                        engine::Json(),
                        [](C& c, const HfValue& v) {
                          if (v.value.is_null()) return;
                          const int64_t longest = engine::json_int(v.value, v.what, 1, int64_t(1) << 26);
                          c.longest_row = c.longest_row > 0 ? std::min(c.longest_row, longest) : longest;
                          c.context = std::min(c.context, c.longest_row);
                        },
                        [](const C& c) { return c.longest_row > 0 ? engine::Json(c.longest_row) : engine::Json(); },
                        Keep::yes};
  return {
      .model_type = "llama",
      .class_name = "LlamaForCausalLM",
      .prefix = "model.",
      .base = hf_rope_lm("attn{in=rms} ffn{in=rms} final=rms"),
      .keys = hf_joined(hf_family_keys({}),
                        {hf_attention_bias(), hf_default_size("head_dim", &C::head_dim), ffn_bias, window,
                         hf_activation("hidden_act", gated_activations(), "silu")}),
      .ignored = {"attention_dropout", "pretraining_tp", "use_sliding_window", "max_window_layers",
                  "hidden_activation"},
      .names = hf_family_names(hf_pre_norm_rows()),
      .dropped = hf_family_dropped(),
  };
}

}  // namespace models
