// Gemma (arXiv 2403.08295) and Gemma-2 (arXiv 2408.00118): gains are 1 + weight, embeddings are scaled by the
// root of the width. Gemma-2 has norms behind its branches too, soft caps, and a scale of scores of its own,
// query_pre_attn_scalar^-1/2. Read first: llama_family.h.
#include <cmath>

#include "engine/base/check.h"
#include "models/hf/llama_family.h"

namespace models {
namespace {

using engine::Json;
using C = ModelConfig;

constexpr int64_t largest_size = int64_t(1) << 26;

ModelConfig gemma_base(const char* norms) {
  ModelConfig base = hf_rope_lm(norms);
  base.gain_offset = 1;
  return base;
}

std::vector<HfKey> gemma_keys(int64_t kv_heads) {
  std::vector<HfKey> keys = hf_family_keys({.tied = true, .kv_heads = kv_heads});
  for (HfKey& key : keys)
    if (key.name == "hidden_size")
      key.read = [](C& c, const HfValue& v) {
        c.width = engine::json_int(v.value, v.what, 1, largest_size);
        c.embed_scale = std::sqrt(double(c.width));
      };
  return hf_joined(keys, {hf_attention_bias(), hf_default_size("head_dim", &C::head_dim, 256),
                          hf_no_bias("mlp_bias", &BiasChoice::ffn),
                          hf_only("use_bidirectional_attention", false, "a causal LM attends to the past")});
}

HfKey query_scalar() {
  return {"query_pre_attn_scalar", Json(256),
          [](C& c, const HfValue& v) {
            const int64_t scalar = engine::json_int(v.value, v.what, 1, largest_size);
            if (scalar != c.head_dim) c.attn_scale = 1 / std::sqrt(double(scalar));
          },
          [](const C& c) {
            if (!c.attn_scale) return Json(c.head_dim);
            const double scalar = 1 / (*c.attn_scale * *c.attn_scale);
            return Json(int64_t(std::round(std::fmin(scalar, double(largest_size)))));
          }};
}

/// The first files say "gelu" and mean its approximation by tanh, and so transformers reads the word.
const std::vector<HfWord>& gemma_activations() {
  using A = nn::Activation;
  static const std::vector<HfWord> words = {{"gelu_pytorch_tanh", A::geglu_tanh},
                                            {"gelu", A::geglu_tanh},
                                            {"gelu_new", A::geglu_tanh},
                                            {"gelu_fast", A::geglu_tanh},
                                            {"gelu_accurate", A::geglu_tanh},
                                            {"gelu_python", A::geglu},
                                            {"silu", A::swiglu},
                                            {"swish", A::swiglu},
                                            {"relu", A::reglu}};
  return words;
}

/// Written beside hidden_act for some versions of transformers: both must mean the same.
HfKey other_activation() {
  return {"hidden_activation",
          Json(),
          [](C& c, const HfValue& v) {
            if (v.value.is_null()) return;
            C other;
            hf_activation("", gemma_activations(), nullptr).read(other, v);
            engine::check(other.activation == c.activation, v.what, " ",
                          engine::json_text(v.value).substr(0, 40), " contradicts hidden_act");
          },
          {},
          Keep::yes};
}

}  // namespace

HfArchitecture hf_gemma() {
  return {
      .model_type = "gemma",
      .class_name = "GemmaForCausalLM",
      .prefix = "model.",
      .base = gemma_base("attn{in=rms} ffn{in=rms} final=rms"),
      .keys = hf_joined(
          gemma_keys(16),
          {hf_activation("hidden_act", gemma_activations(), "gelu_pytorch_tanh"), other_activation()}),
      .ignored = {"attention_dropout"},
      .names = hf_family_names(hf_pre_norm_rows()),
      .dropped = hf_family_dropped(),
  };
}

HfArchitecture hf_gemma2() {
  return {
      .model_type = "gemma2",
      .class_name = "Gemma2ForCausalLM",
      .prefix = "model.",
      .base = gemma_base("attn{in=rms out=rms} ffn{in=rms out=rms} final=rms"),
      .keys = hf_joined(
          gemma_keys(4),
          {query_scalar(), hf_activation("hidden_activation", gated_activations(), "gelu_pytorch_tanh"),
           hf_optional("attn_logit_softcapping", &C::attn_softcap, 50),
           hf_optional("final_logit_softcapping", &C::logit_softcap, 30), hf_layer_types(),
           hf_window_of_some(4096)}),
      .ignored = {"attention_dropout", "hidden_act", "sliding_window_size"},  // hidden_activation counts
      .names = hf_family_names(
          {{"layers.{N}.attn.in_norm.weight", {"model.layers.{N}.input_layernorm.weight"}},
           {"layers.{N}.attn.out_norm.weight", {"model.layers.{N}.post_attention_layernorm.weight"}},
           {"layers.{N}.ffn.in_norm.weight", {"model.layers.{N}.pre_feedforward_layernorm.weight"}},
           {"layers.{N}.ffn.out_norm.weight", {"model.layers.{N}.post_feedforward_layernorm.weight"}}}),
      .dropped = hf_family_dropped(),
  };
}

}  // namespace models
