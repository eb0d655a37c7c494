// GPT-NeoX (Black et al. 2022, arXiv 2204.06745) and Pythia (arXiv 2304.01373): attention and feed-forward
// both read the layer's input, and the first part of each head turns. Read first: architecture.h,
// rope_keys.h.
#include <algorithm>
#include <cmath>

#include "engine/base/check.h"
#include "models/hf/rope_keys.h"

namespace models {
namespace {

using engine::check;
using engine::Json;
using C = ModelConfig;

HfKey parallel_residual() {
  return {"use_parallel_residual", Json(true),
          [](C& c, const HfValue& v) {
            c.norms.stream.kind =
                engine::json_bool(v.value, v.what) ? nn::StreamKind::parallel : nn::StreamKind::plain;
          },
          [](const C& c) { return Json(c.norms.stream.kind == nn::StreamKind::parallel); }};
}

HfKey attention_bias() {
  return {"attention_bias", Json(true),
          [](C& c, const HfValue& v) { c.bias.qkv = c.bias.out = engine::json_bool(v.value, v.what); },
          [](const C& c) { return Json(c.bias.qkv); }};
}

/// The share that gives rope_width again when its product with head_dim is cut to an integer.
double turning_share(const C& c) {
  const double n = double(c.head_dim), share = double(c.rope_width) / n;
  return int64_t(n * share) == c.rope_width ? share : std::nextafter(share, 2.0);
}

HfKey rotary_share() {
  return {"rotary_pct", Json(0.25),
          [](C& c, const HfValue& v) {
            const double share = engine::json_number(v.value, v.what);
            check(share > 0 && share <= 1, v.what, " ", share, " is outside (0, 1]");
            // 1, which is no pair, stands for none: rope_parameters may yet say another share.
            c.rope_width = std::max<int64_t>(1, int64_t(double(c.width / c.heads) * share));
          },
          [](const C& c) { return Json(turning_share(c)); }};
}

/// Names of some versions of transformers for what the rows before have read: they must agree.
HfKey share_again() {
  return {"partial_rotary_factor",
          Json(),
          [](C& c, const HfValue& v) {
            const int64_t n = c.width / c.heads;
            check(c.rope_width % 2 == 0 && c.rope_width > 0, v.what, " (or rotary_pct): ", c.rope_width,
                  " of a head's ", n, " channels would turn, which are no pairs");
            if (v.value.is_null()) return;
            const double share = engine::json_number(v.value, v.what);
            check(share > 0 && share <= 1 && int64_t(double(n) * share) == c.rope_width, v.what, " ", share,
                  " contradicts the ", c.rope_width, " channels of a head that turn");
          },
          {},
          Keep::yes};
}
HfKey theta_again() {
  return {"rope_theta",
          Json(),
          [](C& c, const HfValue& v) {
            if (v.value.is_null()) return;
            const double theta = engine::json_number(v.value, v.what);
            check(theta == c.rope_theta, v.what, " ", theta, " contradicts the base ", c.rope_theta);
          },
          {},
          Keep::yes};
}

/// rope_parameters and its older name win over rotary_pct and rotary_emb_base, as in transformers.
HfKey parameters() {
  return {"rope_parameters", Json(),
          [](C& c, const HfValue& v) {
            const bool replaced = v.all.contains("rope_scaling") && !v.all["rope_scaling"].empty();
            if (!replaced) read_hf_rope(c, v, true);
          },
          [](const C& c) {
            Json json = hf_rope_parameters(c);
            json["partial_rotary_factor"] = turning_share(c);
            return json;
          },
          Keep::yes};
}
HfKey scaling() {
  return {"rope_scaling", Json(), [](C& c, const HfValue& v) { read_hf_rope(c, v, true); },
          [](const C& c) -> std::optional<Json> {
            if (!c.rope_scaling) return std::nullopt;
            Json json = hf_rope_parameters(c);
            json.erase("rope_theta");
            return json;
          },
          Keep::yes};
}

}  // namespace

HfArchitecture hf_gpt_neox() {
  ModelConfig base;
  base.objective = Objective::clm;
  base.positions = nn::Positions::rope;
  base.norms = nn::parse_norm_spec("attn{in=ln} ffn{in=ln} final=ln stream=parallel");
  const std::string layer = "gpt_neox.layers.{N}.";
  return {
      .model_type = "gpt_neox",
      .class_name = "GPTNeoXForCausalLM",
      .prefix = "gpt_neox.",
      .base = base,
      .keys = {hf_size("vocab_size", &C::vocab_size), hf_size("max_position_embeddings", &C::context),
               hf_size("num_hidden_layers", &C::layers), hf_size("hidden_size", &C::width),
               hf_size("num_attention_heads", &C::heads), hf_size("intermediate_size", &C::ffn_width),
               hf_number("layer_norm_eps", &C::norm_eps, 1e-5),
               hf_flag("tie_word_embeddings", &C::tied, false),
               hf_activation("hidden_act", plain_activations(), "gelu"), parallel_residual(),
               attention_bias(), hf_number("rotary_emb_base", &C::rope_theta, 1e4), rotary_share(),
               parameters(), scaling(), share_again(), theta_again()},
      .ignored = {"attention_dropout", "hidden_dropout"},
      .names = {{"embed.tokens.weight", {"gpt_neox.embed_in.weight"}},
                {"layers.{N}.attn.in_norm.*", {layer + "input_layernorm.*"}},
                {"layers.{N}.attn.qkv.*", {layer + "attention.query_key_value.*"}, Layout::qkv_by_head},
                {"layers.{N}.attn.out.*", {layer + "attention.dense.*"}},
                {"layers.{N}.ffn.in_norm.*", {layer + "post_attention_layernorm.*"}},
                {"layers.{N}.ffn.up.*", {layer + "mlp.dense_h_to_4h.*"}},
                {"layers.{N}.ffn.down.*", {layer + "mlp.dense_4h_to_h.*"}},
                {"final_norm.*", {"gpt_neox.final_layer_norm.*"}},
                {"head.weight", {"embed_out.weight"}}},
      .dropped = {{layer + "attention.bias", "the causal mask, a constant", ""},
                  {layer + "attention.masked_bias", "the value of masked scores, a constant", ""},
                  {layer + "attention.rotary_emb.inv_freq", "the rotary frequencies, constants", ""},
                  {"gpt_neox.rotary_emb.inv_freq", "the rotary frequencies, constants", ""},
                  {"lm_head.weight", "the head under its newer name", "embed_out.weight"},
                  {"embed_out.weight", "the tied head", "gpt_neox.embed_in.weight"}},
  };
}

}  // namespace models
