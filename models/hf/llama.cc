// Llama (Touvron et al. 2023, arXiv 2302.13971), OLMo-2 (arXiv 2501.00656), OLMoE (arXiv 2409.02060) and
// Gemma-2 (arXiv 2408.00118) as transformers stores them: one family of names, different norms. Read first:
// architecture.h.
#include <algorithm>
#include <cmath>

#include "engine/base/check.h"
#include "models/hf/architecture.h"

namespace models {
namespace {

using engine::check;
using engine::Json;
using C = ModelConfig;

constexpr int64_t largest_size = int64_t(1) << 26;

ModelConfig rope_lm(const char* norms) {
  ModelConfig base;
  base.objective = Objective::clm;
  base.positions = nn::Positions::rope;
  base.norms = nn::parse_norm_spec(norms);
  return base;
}

/// A size that null leaves to its default (kv_heads, head_dim: 0 until checked()).
HfKey default_size(const char* name, int64_t ModelConfig::*member) {
  return {name, Json(),
          [=](C& c, const HfValue& v) {
            if (!v.value.is_null()) c.*member = engine::json_int(v.value, v.what, 1, largest_size);
          },
          [=](const C& c) { return Json(c.*member); }};
}

// Rotary embeddings: {"rope_parameters": {"rope_theta": ..., "rope_type": "default"}} since transformers 5,
// before that "rope_theta" and "rope_scaling". Both forms are written, so that either generation reads the
// same angles.

void check_plain_rope(const Json& rope, const std::string& what) {
  if (rope.is_null()) return;
  check(rope.is_object(), what, ": expected an object, got ", engine::json_text(rope).substr(0, 40));
  for (const auto& [key, value] : rope.items()) {
    const bool plain = key == "rope_theta" || ((key == "rope_type" || key == "type") && value == "default") ||
                       (key == "partial_rotary_factor" && value == 1);
    check(plain, what, ".", key, " ", engine::json_text(value).substr(0, 40),
          " cannot be said here: rotary positions are plain (rope_type \"default\")");
  }
}

HfKey rope_theta() {
  return {"rope_theta", Json(),
          [](C& c, const HfValue& v) {
            if (!v.value.is_null()) c.rope_theta = engine::json_number(v.value, v.what);
          },
          [](const C& c) { return Json(c.rope_theta); }};
}
/// Reads after rope_theta and wins over it where it names a theta, as in transformers.
void read_rope(C& c, const HfValue& v) {
  check_plain_rope(v.value, v.what);
  if (v.value.is_object() && v.value.contains("rope_theta"))
    c.rope_theta = engine::json_number(v.value["rope_theta"], v.what + ".rope_theta");
}
HfKey rope_parameters() {
  return {"rope_parameters", Json(),
          [](C& c, const HfValue& v) {
            const bool replaced = v.all.contains("rope_scaling") && !v.all["rope_scaling"].empty();
            if (!replaced) read_rope(c, v);
          },
          [](const C& c) {
            return Json{{"rope_theta", c.rope_theta}, {"rope_type", "default"}};
          }};
}
/// The older name of rope_parameters; where both stand this one counts.
HfKey rope_scaling() { return {"rope_scaling", Json(), read_rope, {}}; }

HfKey attention_bias() {
  return {"attention_bias", Json(false),
          [](C& c, const HfValue& v) { c.bias.qkv = c.bias.out = engine::json_bool(v.value, v.what); },
          [](const C& c) { return Json(c.bias.qkv); }};
}
HfKey ffn_bias(const char* name) {
  return {name, Json(false), [](C& c, const HfValue& v) { c.bias.ffn = engine::json_bool(v.value, v.what); },
          [](const C& c) { return Json(c.bias.ffn); }};
}
/// Architectures whose feed-forward layers have no bias; a mixture of experts has none to switch off.
HfKey no_ffn_bias() {
  return {"mlp_bias",
          Json(false),
          [](C& c, const HfValue& v) {
            check(!engine::json_bool(v.value, v.what), v.what, " true: this architecture has no such bias");
            c.bias.ffn = false;
          },
          {}};
}

template <class Row>
std::vector<Row> joined(std::vector<Row> rows, const std::vector<Row>& more) {
  rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

// Attention to a window is attention to everything as long as no row is longer than the window. So a model
// whose layers have windows is read as one of rows that are no longer, and returns with the context it came
// with.

HfKey longest_context() {
  HfKey key = hf_size("max_position_embeddings", &C::context);
  key.keep = Keep::yes;
  return key;
}

void limit_rows(C& c, const HfValue& v) {
  if (v.value.is_null()) return;
  c.longest_row = engine::json_int(v.value, v.what, 1, largest_size);
  c.context = std::min(c.context, c.longest_row);
}
Json write_window(const C& c) { return c.longest_row > 0 ? Json(c.longest_row) : Json(); }

/// For architectures without layer_types: all layers have the window, if there is one.
HfKey window_of_all(int64_t absent) {
  return {"sliding_window", absent > 0 ? Json(absent) : Json(), limit_rows, write_window, Keep::yes};
}

std::vector<HfKey> family_keys(bool tied, double eps) {
  return {hf_size("vocab_size", &C::vocab_size),
          longest_context(),
          hf_size("num_hidden_layers", &C::layers),
          hf_size("hidden_size", &C::width),
          hf_size("num_attention_heads", &C::heads),
          default_size("num_key_value_heads", &C::kv_heads),
          hf_size("intermediate_size", &C::ffn_width),
          hf_number("rms_norm_eps", &C::norm_eps, eps),
          hf_flag("tie_word_embeddings", &C::tied, tied),
          rope_theta(),
          rope_parameters(),
          rope_scaling(),
          hf_only("partial_rotary_factor", 1.0, "rotary positions turn the whole head"),
          attention_bias()};
}

std::vector<NameRow> family_names(const std::vector<NameRow>& norms) {
  const std::string layer = "model.layers.{N}.";
  return joined(norms,
                {{"embed.tokens.weight", {"model.embed_tokens.weight"}},
                 {"layers.{N}.attn.qkv.*",
                  {layer + "self_attn.q_proj.*", layer + "self_attn.k_proj.*", layer + "self_attn.v_proj.*"},
                  Layout::qkv_rows},
                 {"layers.{N}.attn.out.*", {layer + "self_attn.o_proj.*"}},
                 {"layers.{N}.ffn.up.*", {layer + "mlp.up_proj.*"}},
                 {"layers.{N}.ffn.gate.*", {layer + "mlp.gate_proj.*"}},
                 {"layers.{N}.ffn.down.*", {layer + "mlp.down_proj.*"}},
                 {"final_norm.weight", {"model.norm.weight"}},
                 {"head.weight", {"lm_head.weight"}}});
}

const std::vector<DroppedRow> family_dropped = {
    {"model.layers.{N}.self_attn.rotary_emb.inv_freq", "the rotary frequencies, constants", ""},
    {"model.rotary_emb.inv_freq", "the rotary frequencies, constants", ""},
    {"lm_head.weight", "the tied head", "model.embed_tokens.weight"}};

HfArchitecture llama() {
  return {
      .model_type = "llama",
      .class_name = "LlamaForCausalLM",
      .prefix = "model.",
      .base = rope_lm("attn{in=rms} ffn{in=rms} final=rms"),
      .keys = joined(family_keys(false, 1e-6),
                     {default_size("head_dim", &C::head_dim), ffn_bias("mlp_bias"), window_of_all(0),
                      hf_activation("hidden_act", gated_activations(), "silu")}),
      .ignored = {"attention_dropout", "pretraining_tp", "use_sliding_window", "max_window_layers",
                  "hidden_activation"},
      .names = family_names(
          {{"layers.{N}.attn.in_norm.weight", {"model.layers.{N}.input_layernorm.weight"}},
           {"layers.{N}.ffn.in_norm.weight", {"model.layers.{N}.post_attention_layernorm.weight"}}}),
      .dropped = family_dropped,
  };
}

HfArchitecture olmo2() {
  return {
      .model_type = "olmo2",
      .class_name = "Olmo2ForCausalLM",
      .prefix = "model.",
      .base = rope_lm("attn{q=rms.full k=rms.full out=rms} ffn{out=rms} final=rms"),
      .keys = joined(family_keys(false, 1e-5),
                     {no_ffn_bias(), hf_activation("hidden_act", gated_activations(), "silu")}),
      .ignored = {"attention_dropout"},
      .names = family_names(
          {{"layers.{N}.attn.q_norm.weight", {"model.layers.{N}.self_attn.q_norm.weight"}},
           {"layers.{N}.attn.k_norm.weight", {"model.layers.{N}.self_attn.k_norm.weight"}},
           {"layers.{N}.attn.out_norm.weight", {"model.layers.{N}.post_attention_layernorm.weight"}},
           {"layers.{N}.ffn.out_norm.weight", {"model.layers.{N}.post_feedforward_layernorm.weight"}}}),
      .dropped = family_dropped,
  };
}

HfArchitecture olmoe() {
  const std::string experts = "model.layers.{N}.mlp.experts.{E}.";
  return {
      .model_type = "olmoe",
      .class_name = "OlmoeForCausalLM",
      .prefix = "model.",
      .base = rope_lm("attn{in=rms q=rms.full k=rms.full} ffn{in=rms} final=rms"),
      .keys =
          joined(family_keys(false, 1e-5),
                 {hf_size("num_experts", &C::experts), hf_size("num_experts_per_tok", &C::experts_per_token),
                  hf_flag("norm_topk_prob", &C::router_normalize, false), no_ffn_bias(),
                  hf_activation("hidden_act", gated_activations(), "silu"),
                  hf_only("clip_qkv", nullptr, "projections are not clipped")}),
      .ignored = {"attention_dropout", "output_router_logits", "router_aux_loss_coef", "router_z_loss_coef"},
      .names = joined(
          {{"layers.{N}.ffn.router.weight", {"model.layers.{N}.mlp.gate.weight"}},
           {"layers.{N}.ffn.experts.up.weight", {experts + "up_proj.weight"}, Layout::experts},
           {"layers.{N}.ffn.experts.gate.weight", {experts + "gate_proj.weight"}, Layout::experts},
           {"layers.{N}.ffn.experts.down.weight", {experts + "down_proj.weight"}, Layout::experts}},
          family_names(
              {{"layers.{N}.attn.in_norm.weight", {"model.layers.{N}.input_layernorm.weight"}},
               {"layers.{N}.attn.q_norm.weight", {"model.layers.{N}.self_attn.q_norm.weight"}},
               {"layers.{N}.attn.k_norm.weight", {"model.layers.{N}.self_attn.k_norm.weight"}},
               {"layers.{N}.ffn.in_norm.weight", {"model.layers.{N}.post_attention_layernorm.weight"}}})),
      .dropped = family_dropped,
  };
}

// Gemma-2's scale of scores is query_pre_attn_scalar^-1/2; its embeddings are scaled by the root of the
// width.

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

HfKey layer_types() {
  return {"layer_types", Json(),
          [](C& c, const HfValue& v) {
            if (v.value.is_null()) return;
            check(v.value.is_array() && int64_t(v.value.size()) == c.layers, v.what, ": expected a list of ",
                  c.layers, " words");
            for (const Json& type : v.value)
              check(type == "full_attention" || type == "sliding_attention", v.what, ": ",
                    engine::json_text(type).substr(0, 40),
                    " is neither \"full_attention\" nor \"sliding_attention\"");
          },
          [](const C& c) {
            const char* type = c.longest_row > 0 ? "sliding_attention" : "full_attention";
            return Json(std::vector<std::string>(size_t(c.layers), type));
          },
          Keep::yes};
}
HfKey sliding_window() {
  return {"sliding_window", Json(4096),
          [](C& c, const HfValue& v) {
            const bool listed = v.all.contains("layer_types") && v.all["layer_types"].is_array();
            bool any = !listed;  // without a list every second layer has the window
            if (listed)
              for (const Json& type : v.all["layer_types"]) any = any || type != "full_attention";
            if (any) limit_rows(c, v);
          },
          [](const C& c) { return c.longest_row > 0 ? write_window(c) : Json(c.context); }, Keep::yes};
}

HfArchitecture gemma2() {
  ModelConfig base = rope_lm("attn{in=rms out=rms} ffn{in=rms out=rms} final=rms");
  base.gain_offset = 1;
  HfKey width = hf_size("hidden_size", &C::width);
  width.read = [](C& c, const HfValue& v) {
    c.width = engine::json_int(v.value, v.what, 1, largest_size);
    c.embed_scale = std::sqrt(double(c.width));
  };
  std::vector<HfKey> keys =
      joined(family_keys(true, 1e-6),
             {hf_size("head_dim", &C::head_dim), query_scalar(), no_ffn_bias(),
              hf_activation("hidden_activation", gated_activations(), "gelu_pytorch_tanh"),
              hf_optional("attn_logit_softcapping", &C::attn_softcap, 50),
              hf_optional("final_logit_softcapping", &C::logit_softcap, 30), layer_types(), sliding_window(),
              hf_only("use_bidirectional_attention", false, "a causal LM attends to the past")});
  for (HfKey& key : keys)
    if (key.name == width.name) key = width;
  return {
      .model_type = "gemma2",
      .class_name = "Gemma2ForCausalLM",
      .prefix = "model.",
      .base = base,
      .keys = keys,
      .ignored = {"attention_dropout", "hidden_act", "sliding_window_size"},  // hidden_activation counts
      .names = family_names(
          {{"layers.{N}.attn.in_norm.weight", {"model.layers.{N}.input_layernorm.weight"}},
           {"layers.{N}.attn.out_norm.weight", {"model.layers.{N}.post_attention_layernorm.weight"}},
           {"layers.{N}.ffn.in_norm.weight", {"model.layers.{N}.pre_feedforward_layernorm.weight"}},
           {"layers.{N}.ffn.out_norm.weight", {"model.layers.{N}.post_feedforward_layernorm.weight"}}}),
      .dropped = family_dropped,
  };
}

}  // namespace

std::vector<HfArchitecture> hf_llama_architectures() { return {llama(), olmo2(), olmoe(), gemma2()}; }

}  // namespace models
