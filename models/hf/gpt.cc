// GPT-2 (Radford et al. 2019), GPT-Neo (Black et al. 2021, doi 10.5281/zenodo.5297715) and XGLM (Lin et al.
// 2021, arXiv 2112.10668: fairseq's language model with sinusoidal positions) as transformers stores them.
// Read first: architecture.h.
#include <algorithm>
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

/// GPT-Neo's kinds of layers, in pairs of a list of words and how often it comes: [[["global", "local"],
/// 12]].
std::vector<std::string> attention_words(const Json& value, int64_t layers, const std::string& what) {
  std::vector<std::string> words;
  engine::check(value.is_array(), what, ": expected a list of [words, count]");
  for (const Json& item : value) {
    engine::check(item.is_array() && item.size() == 2 && item[0].is_array() && !item[0].empty(), what,
                  ": expected a list of [words, count]");
    const int64_t count = engine::json_int(item[1], what, 0, layers), listed = int64_t(item[0].size());
    engine::check(count * listed <= layers - int64_t(words.size()), what, ": more than the ", layers,
                  " layers");
    for (int64_t i = 0; i < count; ++i)
      for (const Json& word : item[0]) words.push_back(engine::json_string(word, what));
  }
  engine::check(int64_t(words.size()) == layers, what, ": ", words.size(), " words for ", layers, " layers");
  return words;
}

HfKey attention_types() {
  return {"attention_types", Json(),
          [](C& c, const HfValue& v) {
            const Json usual = Json::parse(R"([[["global", "local"], 12]])");
            const std::vector<std::string> words =
                attention_words(v.value.is_null() ? usual : v.value, c.layers, v.what);
            for (size_t i = 0; i < words.size(); ++i) {
              engine::check(words[i] == "global" || words[i] == "local", v.what, ": \"",
                            words[i].substr(0, 40), "\" is neither \"global\" nor \"local\"");
              if (words[i] == "local") c.window_layers.push_back(int64_t(i));
            }
          },
          [](const C& c) {
            std::vector<std::string> words;
            for (int64_t layer = 0; layer < c.layers; ++layer)
              words.push_back(c.window_of(layer) > 0 ? "local" : "global");
            return Json::array({Json::array({words, 1})});
          },
          Keep::yes};
}
/// The same as a list of words, which counts where both stand.
HfKey attention_layers() {
  return {"attention_layers",
          Json(),
          [](C& c, const HfValue& v) {
            if (v.value.is_null()) return;
            engine::check(v.value.is_array() && int64_t(v.value.size()) == c.layers, v.what, ": expected ",
                          c.layers, " words");
            for (int64_t layer = 0; layer < c.layers; ++layer) {
              const bool local = std::count(c.window_layers.begin(), c.window_layers.end(), layer) > 0;
              engine::check(v.value[size_t(layer)] == (local ? "local" : "global"), v.what,
                            " contradicts attention_types at layer ", layer);
            }
          },
          {},
          Keep::yes};
}
HfKey window_size() {
  return {"window_size", Json(256),
          [](C& c, const HfValue& v) {
            const int64_t window = engine::json_int(v.value, v.what, 1, int64_t(1) << 26);
            if (!c.window_layers.empty()) c.window = window;
          },
          [](const C& c) { return c.window > 0 ? Json(c.window) : Json(256); }, Keep::yes};
}

HfKey neo_inner_width() {
  HfKey key = inner_width();
  key.name = "intermediate_size";
  return key;
}

}  // namespace

// GPT-Neo (Black et al. 2021): scores are not scaled, every second layer looks at a window, and projections
// of q, k and v have no bias.
HfArchitecture hf_gpt_neo() {
  ModelConfig base = pre_norm_lm(nn::Positions::learned, 0);
  base.attn_scale = 1;
  base.bias.qkv = false;
  const std::string layer = "transformer.h.{N}.", attention = layer + "attn.attention.";
  return {
      .model_type = "gpt_neo",
      .class_name = "GPTNeoForCausalLM",
      .prefix = "transformer.",
      .base = base,
      .keys = {hf_size("vocab_size", &C::vocab_size), hf_size("max_position_embeddings", &C::context),
               hf_size("num_layers", &C::layers), hf_size("hidden_size", &C::width),
               hf_size("num_heads", &C::heads), neo_inner_width(),
               hf_activation("activation_function", plain_activations(), "gelu_new"),
               hf_number("layer_norm_epsilon", &C::norm_eps, 1e-5),
               hf_flag("tie_word_embeddings", &C::tied, true), attention_types(), attention_layers(),
               window_size(), hf_alias("num_hidden_layers", &C::layers, "num_layers"),
               hf_alias("num_attention_heads", &C::heads, "num_heads")},
      .ignored = {"attention_dropout", "embed_dropout", "resid_dropout", "gradient_checkpointing",
                  "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type",
                  "summary_use_proj"},
      .names = {{"embed.tokens.weight", {"transformer.wte.weight"}},
                {"embed.positions.weight", {"transformer.wpe.weight"}},
                {"layers.{N}.attn.in_norm.*", {layer + "ln_1.*"}},
                {"layers.{N}.attn.qkv.*",
                 {attention + "q_proj.*", attention + "k_proj.*", attention + "v_proj.*"},
                 Layout::qkv_rows},
                {"layers.{N}.attn.out.*", {attention + "out_proj.*"}},
                {"layers.{N}.ffn.in_norm.*", {layer + "ln_2.*"}},
                {"layers.{N}.ffn.up.*", {layer + "mlp.c_fc.*"}},
                {"layers.{N}.ffn.down.*", {layer + "mlp.c_proj.*"}},
                {"final_norm.*", {"transformer.ln_f.*"}},
                {"head.weight", {"lm_head.weight"}}},
      .dropped = {{attention + "bias", "the mask of the layer, a constant", ""},
                  {attention + "masked_bias", "the value of masked scores, a constant", ""},
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
                v.value.is_null() || engine::json_int(v.value, v.what, 0, int64_t(1) << 26) < 2;
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
