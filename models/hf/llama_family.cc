// Read first: llama_family.h.
#include "models/hf/llama_family.h"

#include <algorithm>

#include "engine/base/check.h"

namespace models {
namespace {

using engine::check;
using engine::Json;
using C = ModelConfig;

constexpr int64_t largest_size = int64_t(1) << 26;

HfKey longest_context() {
  HfKey key = hf_size("max_position_embeddings", &C::context);
  key.keep = Keep::yes;
  return key;
}

HfKey kv_heads(int64_t absent) {
  HfKey key = hf_default_size("num_key_value_heads", &C::kv_heads, absent);
  key.read = [read = key.read](C& c, const HfValue& v) {
    read(c, v);
    check(c.kv_heads == 0 || c.heads % c.kv_heads == 0, v.what, " ", c.kv_heads,
          " must divide num_attention_heads ", c.heads);
  };
  return key;
}

/// null: none.
int64_t window_size(const HfValue& v) {
  return v.value.is_null() ? 0 : engine::json_int(v.value, v.what, 1, largest_size);
}
Json write_window(const C& c) { return c.window > 0 ? Json(c.window) : Json(); }

/// The window of those layers for which on(layer), if there are any.
template <class On>
void set_window(C& c, int64_t window, On on) {
  c.window_layers.clear();
  for (int64_t layer = 0; layer < c.layers; ++layer)
    if (on(layer)) c.window_layers.push_back(layer);
  c.window = c.window_layers.empty() ? 0 : window;
  if (c.window == 0) c.window_layers.clear();
}

bool listed(const Json& config) { return config.contains("layer_types") && config["layer_types"].is_array(); }
bool is_sliding(const Json& config, int64_t layer) {
  return config["layer_types"][size_t(layer)] != "full_attention";
}

}  // namespace

ModelConfig hf_rope_lm(const char* norms) {
  ModelConfig base;
  base.objective = Objective::clm;
  base.positions = nn::Positions::rope;
  base.bias = {false, false, false};
  base.norms = nn::parse_norm_spec(norms);
  return base;
}

std::vector<HfKey> hf_family_keys(const FamilyDefaults& defaults) {
  return hf_joined<HfKey>(
      {hf_size("vocab_size", &C::vocab_size), longest_context(), hf_size("num_hidden_layers", &C::layers),
       hf_size("hidden_size", &C::width), hf_size("num_attention_heads", &C::heads),
       kv_heads(defaults.kv_heads), hf_size("intermediate_size", &C::ffn_width),
       hf_number("rms_norm_eps", &C::norm_eps, defaults.eps),
       hf_flag("tie_word_embeddings", &C::tied, defaults.tied),
       hf_only("partial_rotary_factor", 1.0, "rotary positions turn the whole head")},
      hf_rope_keys(defaults.theta));
}

HfKey hf_attention_bias() {
  return {"attention_bias", Json(false),
          [](C& c, const HfValue& v) { c.bias.qkv = c.bias.out = engine::json_bool(v.value, v.what); },
          [](const C& c) { return Json(c.bias.qkv); }};
}

HfKey hf_no_bias(const char* name, bool BiasChoice::*member) {
  return {name,
          Json(false),
          [=](C& c, const HfValue& v) {
            check(!engine::json_bool(v.value, v.what), v.what, " true: this architecture has no such bias");
            c.bias.*member = false;
          },
          {},
          Keep::yes};
}

std::vector<NameRow> hf_family_names(const std::vector<NameRow>& norms) {
  const std::string layer = "model.layers.{N}.";
  return hf_joined(
      norms, {{"embed.tokens.weight", {"model.embed_tokens.weight"}},
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

std::vector<NameRow> hf_pre_norm_rows() {
  return {{"layers.{N}.attn.in_norm.weight", {"model.layers.{N}.input_layernorm.weight"}},
          {"layers.{N}.ffn.in_norm.weight", {"model.layers.{N}.post_attention_layernorm.weight"}}};
}

std::vector<NameRow> hf_expert_names(const std::string& gate, const std::string& experts, const char* up,
                                     const char* gate_proj, const char* down) {
  return {{"layers.{N}.ffn.router.weight", {gate + ".weight"}},
          {"layers.{N}.ffn.experts.up.weight", {experts + "." + up + ".weight"}, Layout::experts},
          {"layers.{N}.ffn.experts.gate.weight", {experts + "." + gate_proj + ".weight"}, Layout::experts},
          {"layers.{N}.ffn.experts.down.weight", {experts + "." + down + ".weight"}, Layout::experts}};
}

const std::vector<DroppedRow>& hf_family_dropped() {
  static const std::vector<DroppedRow> rows = {
      {"model.layers.{N}.self_attn.rotary_emb.inv_freq", "the rotary frequencies, constants", ""},
      {"model.rotary_emb.inv_freq", "the rotary frequencies, constants", ""},
      {"lm_head.weight", "the tied head", "model.embed_tokens.weight"}};
  return rows;
}

HfKey hf_window_of_all(int64_t absent) {
  return {"sliding_window", absent > 0 ? Json(absent) : Json(),
          [](C& c, const HfValue& v) { c.window = window_size(v); }, write_window};
}

HfKey hf_layer_types() {
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
            std::vector<std::string> types;
            for (int64_t layer = 0; layer < c.layers; ++layer)
              types.push_back(c.window_of(layer) > 0 ? "sliding_attention" : "full_attention");
            return Json(types);
          }};
}

HfKey hf_window_of_some(int64_t absent) {
  return {"sliding_window", Json(absent),
          [](C& c, const HfValue& v) {
            set_window(c, window_size(v), [&](int64_t layer) {
              return listed(v.all) ? is_sliding(v.all, layer) : layer % 2 == 0;
            });
          },
          [](const C& c) { return c.window > 0 ? write_window(c) : Json(c.context); }, Keep::yes};
}

std::vector<HfKey> hf_optional_window(bool by_layer) {
  const auto read = [=](C& c, const HfValue& v) {
    const Json used = v.all.value("use_sliding_window", Json(false));
    if (used != true) return;
    const Json first = v.all.value("max_window_layers", Json(28));
    const int64_t begin = engine::json_int(first, "max_window_layers", 0, largest_size);
    set_window(c, window_size(v), [&](int64_t layer) {
      if (!by_layer) return true;
      return listed(v.all) ? is_sliding(v.all, layer) : layer >= begin;
    });
  };
  std::vector<HfKey> keys = {
      {"use_sliding_window", Json(false), [](C&, const HfValue& v) { engine::json_bool(v.value, v.what); },
       [](const C& c) { return Json(c.window > 0); }, Keep::yes},
      {"sliding_window", Json(4096), read, write_window, Keep::yes},
      {"max_window_layers",
       Json(28),
       [](C&, const HfValue& v) {
         if (!v.value.is_null()) engine::json_int(v.value, v.what, 0, largest_size);
       },
       {},
       Keep::yes}};
  if (by_layer) keys.insert(keys.begin(), hf_layer_types());
  return keys;
}

}  // namespace models
