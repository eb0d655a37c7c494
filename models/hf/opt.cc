// OPT (Zhang et al. 2022, arXiv 2205.01068): fairseq's language model with learned positions from 2 on;
// pre-norm, or post-norm with narrower embeddings (the 350M model). Read first: architecture.h.
#include "engine/base/check.h"
#include "models/hf/architecture.h"

namespace models {
namespace {

using engine::Json;
using C = ModelConfig;

const char* const pre_norm = "attn{in=ln} ffn{in=ln} final=ln";
const char* const no_final = "attn{in=ln} ffn{in=ln}";
const char* const post_norm = "attn{post=ln} ffn{post=ln}";

/// Two keys say where the norms stand: this one, and _remove_final_layer_norm beside it.
HfKey norm_before() {
  return {"do_layer_norm_before", Json(true),
          [](C& c, const HfValue& v) {
            if (!engine::json_bool(v.value, v.what)) c.norms = nn::parse_norm_spec(post_norm);
          },
          [](const C& c) { return Json(bool(c.norms.attn.in)); }};
}
HfKey remove_final() {
  return {"_remove_final_layer_norm", Json(false),
          [](C& c, const HfValue& v) {
            if (engine::json_bool(v.value, v.what) && c.norms.final) c.norms = nn::parse_norm_spec(no_final);
          },
          [](const C& c) { return Json(!c.norms.final && bool(c.norms.attn.in)); }};
}

HfKey word_width() {
  HfKey key = hf_default_size("word_embed_proj_dim", &C::embed_width);
  key.write = [](const C& c) { return Json(c.word_width()); };
  return key;
}

HfKey all_biases() {
  return {"enable_bias", Json(true),
          [](C& c, const HfValue& v) {
            c.bias.qkv = c.bias.out = c.bias.ffn = engine::json_bool(v.value, v.what);
          },
          [](const C& c) { return Json(c.bias.qkv); }};
}

}  // namespace

HfArchitecture hf_opt() {
  ModelConfig base;
  base.objective = Objective::clm;
  base.positions = nn::Positions::learned;
  base.position_offset = 2;
  base.norms = nn::parse_norm_spec(pre_norm);
  const std::string layer = "model.decoder.layers.{N}.";
  return {
      .model_type = "opt",
      .class_name = "OPTForCausalLM",
      .prefix = "model.",
      .base = base,
      .keys = {hf_size("vocab_size", &C::vocab_size), hf_size("max_position_embeddings", &C::context),
               hf_size("num_hidden_layers", &C::layers), hf_size("hidden_size", &C::width),
               hf_size("num_attention_heads", &C::heads), hf_size("ffn_dim", &C::ffn_width), word_width(),
               hf_activation("activation_function", plain_activations(), "relu"),
               hf_flag("tie_word_embeddings", &C::tied, true), all_biases(), norm_before(), remove_final(),
               hf_only("layer_norm_elementwise_affine", true, "norms have gains and biases")},
      .ignored = {"dropout", "attention_dropout", "activation_dropout", "layerdrop", "init_std"},
      .names = {{"embed.tokens.weight", {"model.decoder.embed_tokens.weight"}},
                {"embed.projection.weight", {"model.decoder.project_in.weight"}},
                {"embed.positions.weight", {"model.decoder.embed_positions.weight"}},
                {"layers.{N}.attn.in_norm.*", {layer + "self_attn_layer_norm.*"}},
                {"layers.{N}.attn.post_norm.*", {layer + "self_attn_layer_norm.*"}},
                {"layers.{N}.attn.qkv.*",
                 {layer + "self_attn.q_proj.*", layer + "self_attn.k_proj.*", layer + "self_attn.v_proj.*"},
                 Layout::qkv_rows},
                {"layers.{N}.attn.out.*", {layer + "self_attn.out_proj.*"}},
                {"layers.{N}.ffn.in_norm.*", {layer + "final_layer_norm.*"}},
                {"layers.{N}.ffn.post_norm.*", {layer + "final_layer_norm.*"}},
                {"layers.{N}.ffn.up.*", {layer + "fc1.*"}},
                {"layers.{N}.ffn.down.*", {layer + "fc2.*"}},
                {"head.projection.weight", {"model.decoder.project_out.weight"}},
                {"final_norm.*", {"model.decoder.final_layer_norm.*"}},
                {"head.weight", {"lm_head.weight"}}},
      .dropped = {{"lm_head.weight", "the tied head", "model.decoder.embed_tokens.weight"}},
      .position_count = PositionCount::by_mask,
  };
}

}  // namespace models
