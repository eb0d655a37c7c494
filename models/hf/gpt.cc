// GPT-2 (Radford et al. 2019) and XGLM (Lin et al. 2021, arXiv 2112.10668: fairseq's language model with
// sinusoidal positions) as transformers stores them. Read first: architecture.h.
#include <cmath>

#include "engine/base/check.h"
#include "models/hf/architecture.h"

namespace models {
namespace {

using engine::Json;
using C = ModelConfig;

ModelConfig pre_norm_lm(nn::Positions positions, int64_t position_offset) {
  ModelConfig base;
  base.objective = Objective::clm;
  base.positions = positions;
  base.position_offset = position_offset;
  base.norms = nn::parse_norm_spec("attn{in=ln} ffn{in=ln} final=ln");
  return base;
}

/// null: four times the width.
HfKey inner_width() {
  return {"n_inner", Json(),
          [](C& c, const HfValue& v) {
            c.ffn_width =
                v.value.is_null() ? 4 * c.width : engine::json_int(v.value, v.what, 1, int64_t(1) << 26);
          },
          [](const C& c) { return c.ffn_width == 4 * c.width ? Json() : Json(c.ffn_width); }};
}

/// Whether scores are divided by the root of the head's width at all.
HfKey scale_attention() {
  return {"scale_attn_weights", Json(true),
          [](C& c, const HfValue& v) {
            if (!engine::json_bool(v.value, v.what)) c.attn_scale = 1;
          },
          [](const C& c) { return Json(!c.attn_scale); }};
}

}  // namespace

HfArchitecture hf_gpt2() {
  return {
      .model_type = "gpt2",
      .class_name = "GPT2LMHeadModel",
      .prefix = "transformer.",
      .base = pre_norm_lm(nn::Positions::learned, 0),
      .keys = {hf_size("vocab_size", &C::vocab_size), hf_size("n_positions", &C::context),
               hf_size("n_layer", &C::layers), hf_size("n_embd", &C::width), hf_size("n_head", &C::heads),
               inner_width(), hf_activation("activation_function", plain_activations(), "gelu_new"),
               hf_number("layer_norm_epsilon", &C::norm_eps, 1e-5),
               hf_flag("tie_word_embeddings", &C::tied, true), scale_attention(),
               hf_only("scale_attn_by_inverse_layer_idx", false, "all layers have one attn_scale"),
               hf_alias("max_position_embeddings", &C::context, "n_positions"),
               hf_alias("num_hidden_layers", &C::layers, "n_layer"),
               hf_alias("hidden_size", &C::width, "n_embd"),
               hf_alias("num_attention_heads", &C::heads, "n_head")},
      .ignored = {"n_ctx", "layer_norm_eps", "hidden_act", "intermediate_size", "attn_pdrop", "embd_pdrop",
                  "resid_pdrop", "reorder_and_upcast_attn", "summary_activation", "summary_first_dropout",
                  "summary_proj_to_labels", "summary_type", "summary_use_proj"},
      .names = {{"embed.tokens.weight", {"transformer.wte.weight"}},
                {"embed.positions.weight", {"transformer.wpe.weight"}},
                {"layers.{N}.attn.in_norm.*", {"transformer.h.{N}.ln_1.*"}},
                {"layers.{N}.attn.qkv.*", {"transformer.h.{N}.attn.c_attn.*"}, Layout::transposed},
                {"layers.{N}.attn.out.*", {"transformer.h.{N}.attn.c_proj.*"}, Layout::transposed},
                {"layers.{N}.ffn.in_norm.*", {"transformer.h.{N}.ln_2.*"}},
                {"layers.{N}.ffn.up.*", {"transformer.h.{N}.mlp.c_fc.*"}, Layout::transposed},
                {"layers.{N}.ffn.down.*", {"transformer.h.{N}.mlp.c_proj.*"}, Layout::transposed},
                {"final_norm.*", {"transformer.ln_f.*"}},
                {"head.weight", {"lm_head.weight"}}},
      .dropped = {{"transformer.h.{N}.attn.bias", "the causal mask, a constant", ""},
                  {"transformer.h.{N}.attn.masked_bias", "the value of masked scores, a constant", ""},
                  {"lm_head.weight", "the tied head", "transformer.wte.weight"}},
  };
}

namespace {

/// XGLM zeroes row pad_token_id of its position table, whose first row in use is 2.
HfKey harmless_padding() {
  return {"pad_token_id",
          Json(1),
          [](C&, const HfValue& v) {
            const bool harmless =
                v.value.is_null() || engine::json_int(v.value, v.what, -1, int64_t(1) << 26) < 2;
            engine::check(harmless, v.what, " ", engine::json_text(v.value),
                          " cannot be said here: XGLM has no position ",
                          "there, which only ids below 2 hide");
          },
          {},
          Keep::yes};
}

HfKey scaled_embedding() {
  return {"scale_embedding", Json(true),
          [](C& c, const HfValue& v) {
            c.embed_scale = engine::json_bool(v.value, v.what) ? std::sqrt(double(c.width)) : 1;
          },
          [](const C& c) { return Json(c.embed_scale != 1); }};
}

}  // namespace

HfArchitecture hf_xglm() {
  return {
      .model_type = "xglm",
      .class_name = "XGLMForCausalLM",
      .prefix = "model.",
      .base = pre_norm_lm(nn::Positions::sinusoidal, 2),
      .keys = {hf_size("vocab_size", &C::vocab_size), hf_size("max_position_embeddings", &C::context),
               hf_size("num_layers", &C::layers), hf_size("d_model", &C::width),
               hf_size("attention_heads", &C::heads), hf_size("ffn_dim", &C::ffn_width),
               hf_activation("activation_function", plain_activations(), "gelu"), scaled_embedding(),
               hf_flag("tie_word_embeddings", &C::tied, true), harmless_padding(),
               hf_alias("num_hidden_layers", &C::layers, "num_layers"),
               hf_alias("hidden_size", &C::width, "d_model"),
               hf_alias("num_attention_heads", &C::heads, "attention_heads")},
      .ignored = {"dropout", "attention_dropout", "activation_dropout", "layerdrop", "init_std"},
      .names = {{"embed.tokens.weight", {"model.embed_tokens.weight"}},
                {"layers.{N}.attn.in_norm.*", {"model.layers.{N}.self_attn_layer_norm.*"}},
                {"layers.{N}.attn.qkv.*",
                 {"model.layers.{N}.self_attn.q_proj.*", "model.layers.{N}.self_attn.k_proj.*",
                  "model.layers.{N}.self_attn.v_proj.*"},
                 Layout::qkv_rows},
                {"layers.{N}.attn.out.*", {"model.layers.{N}.self_attn.out_proj.*"}},
                {"layers.{N}.ffn.in_norm.*", {"model.layers.{N}.final_layer_norm.*"}},
                {"layers.{N}.ffn.up.*", {"model.layers.{N}.fc1.*"}},
                {"layers.{N}.ffn.down.*", {"model.layers.{N}.fc2.*"}},
                {"final_norm.*", {"model.layer_norm.*"}},
                {"head.weight", {"lm_head.weight"}}},
      .dropped = {{"model.embed_positions.weights", "the sinusoidal table, a constant", ""},
                  {"lm_head.weight", "the tied head", "model.embed_tokens.weight"}},
  };
}

}  // namespace models
