// config.json: every key read, written and refused.
#include "models/config.h"

#include <catch2/catch.hpp>

#include "engine/base/check.h"
#include "models/parameter_list.h"
#include "models/size_presets.h"
#include "nn/norm_presets.h"

using namespace models;
using Catch::Matchers::Contains;
using engine::Json;

namespace {

Json small() {
  return engine::parse_json(
      R"({"format": "normlab-model", "version": 1, "objective": "clm", "vocab_size": 67, "context": 13,
    "layers": 3, "width": 24, "heads": 3, "ffn_width": 48, "activation": "gelu", "positions": "learned",
    "norms": "attn{in=ln} ffn{in=ln} final=ln"})",
      "test");
}
ModelConfig read(const Json& json) { return model_config_from_json(json, "config.json"); }
ModelConfig with(const char* changes) {
  Json json = small();
  json.update(engine::parse_json(changes, "test"));
  return read(json);
}

}  // namespace

TEST_CASE("config: defaults, and writing leaves them out", "[config]") {
  const ModelConfig c = read(small());
  CHECK(c.kv_heads == 3);
  CHECK(c.head_dim == 8);
  CHECK(c.rope_theta == 1e4);
  CHECK(c.norm_eps == 1e-5);
  CHECK(c.tied);
  CHECK(score_scale(c) == 1 / std::sqrt(8.0));
  Json expected = small();
  CHECK(to_json(c).size() == expected.size());
  for (const auto& [key, value] : expected.items()) CHECK(to_json(c)[key] == value);
}

TEST_CASE("config: every key survives a round trip", "[config]") {
  const ModelConfig c =
      with(R"({"kv_heads": 1, "head_dim": 6, "activation": "geglu_tanh", "positions": "rope",
    "position_offset": 2, "longest_row": 40, "window": 5, "window_layers": [1], "embed_width": 10, "rope_theta": 5e5, "token_types": 2, "embed_scale": 4.5, "bias": {"qkv": true, "out": false},
    "tied": false, "norm_eps": 1e-6, "attn_scale": 0.25, "attn_softcap": 50, "logit_softcap": 30, "gain_offset": 1,
    "experts": 6, "experts_per_token": 2, "router_normalize": true, "tokenizer": "tokenizer.json"})");
  CHECK(c.bias == BiasChoice{true, false, true});
  CHECK(c.head_dim == 6);
  CHECK(read(engine::parse_json(to_json(c).dump(), "again")) == c);
  CHECK(c.window_of(0) == 0);
  CHECK(c.window_of(1) == 5);
  const ModelConfig all = with(R"({"window": 5, "window_layers": [0, 1, 2]})");
  CHECK(all == with(R"({"window": 5})"));
  CHECK(all.window_of(0) == 5);
  const ModelConfig r = with(R"({"positions": "rope", "rope_scaling": {"kind": "longrope", "factor": 4,
    "original_context": 9, "short_factor": [1, 1.5, 2, 3], "long_factor": [1, 2, 4, 8]}})");
  CHECK(read(to_json(r)) == r);
  const ModelConfig a = with(R"({"adaptive": {"cutoffs": [10, 40], "factor": 2}})");
  CHECK(read(to_json(a)) == a);
  const ModelConfig k = with(R"({"objective": "classify", "classes": 1, "bias": false, "attn_scale": null})");
  CHECK(read(to_json(k)) == k);
}

TEST_CASE("config: norms by preset are expanded, and bring the activation they need", "[config]") {
  const ModelConfig c = with(R"({"norms": "deepnorm"})");
  CHECK(to_json(c)["norms"] == "attn{post=ln res=1.5650845800732873} ffn{post=ln res=1.5650845800732873}");
  CHECK(init_rule(c) == "deepnorm");
  CHECK(init_rule(with(R"({"norms": "attn{in=ln} ffn{in=ln} final=ln init=gpt3"})")) == "gpt3");
  CHECK(init_rule(read(small())).empty());
  CHECK(with(R"({"norms": {"attn": {"in": "ln"}, "ffn": {"in": "ln"}, "final": "ln"}})") == read(small()));

  Json geglu = small();
  geglu["norms"] = "normformer_geglu";
  CHECK(read(geglu).activation == nn::Activation::gelu);  // what was written down wins
  geglu.erase("activation");
  CHECK(read(geglu).activation == nn::Activation::geglu);
}

TEST_CASE("config: the model section of a training config", "[config]") {
  const auto section = [](const char* text) {
    return model_config_from_section(engine::parse_json(text, "model"), "model");
  };
  const ModelConfig c = section(R"({"preset": "gpt-125m", "norms": "normformer", "vocab_size": 1000})");
  CHECK(c.vocab_size == 1000);
  CHECK(c.norms == nn::parse_norm_spec("attn{in=ln out=ln gain=inner} ffn{in=ln mid=ln} final=ln"));
  CHECK(section(R"({"preset": "gpt-125m"})") == model_preset("gpt-125m"));
  CHECK(section(R"({"preset": "gpt-125m", "layers": 3, "norms": "deepnorm"})").norms.attn.res.value ==
        std::pow(6.0, 0.25));
  CHECK(section(R"({"preset": "gpt-125m", "norms": "normformer_geglu"})").activation ==
        nn::Activation::geglu);
  CHECK(section(R"({"preset": "gpt-125m", "width": 96})").head_dim == 8);
  CHECK_THROWS_WITH(section(R"({"preset": "gpt-126m"})"), Contains("nearest valid: \"gpt-125m\""));
  CHECK_THROWS_WITH(section(R"({"present": "gpt-125m"})"), Contains("nearest valid key: \"preset\""));
  CHECK_THROWS_WITH(section(R"({"layers": 2})"), Contains("model: key \"objective\" is missing"));
  CHECK_NOTHROW(section(R"({"preset": "gpt-125m", "format": "normlab-model", "version": 1})"));
  CHECK_THROWS_WITH(section(R"({"preset": "gpt-125m", "version": 2})"),
                    Contains("model: version: 2 is outside [1, 1]"));
  CHECK_THROWS_WITH(section(R"({"preset": "gpt-125m", "format": "gpt"})"),
                    Contains("must be \"normlab-model\""));
}

TEST_CASE("config: bad values are refused with the key's name", "[config]") {
  struct Case {
    const char *changes, *message;
  };
  const Case cases[] = {
      {R"({"widht": 3})", "config.json: unknown key \"widht\" (nearest valid key: \"width\")"},
      {R"({"format": "gpt"})", "\"format\" must be \"normlab-model\""},
      {R"({"version": 2})", "config.json: version: 2 is outside [1, 1]"},
      {R"({"objective": "clim"})", "config.json: objective: unknown value \"clim\" (nearest valid: \"clm\")"},
      {R"({"activation": "gleu"})", "activation: unknown value \"gleu\" (nearest valid: \"gelu\")"},
      {R"({"positions": "ropes"})", "nearest valid: \"rope\""},
      {R"({"layers": null})", "key \"layers\" is missing"},
      {R"({"layers": 0})", "layers: 0 is outside"},
      {R"({"layers": 2.5})", "layers: expected an integer"},
      {R"({"layers": 100000})", "model: layers 100000 is outside [1, 4096]"},
      {R"({"width": "24"})", "width: expected an integer"},
      {R"({"width": 1e300})", "width: expected an integer"},
      {R"({"width": -24})", "width: -24 is outside"},
      {R"({"heads": 5})", "model: heads 5 must divide width 24"},
      {R"({"kv_heads": 2})", "model: kv_heads 2 must divide heads 3"},
      {R"({"head_dim": 1048576})", "heads * head_dim"},
      {R"({"positions": "rope", "head_dim": 7})", "head_dim must be even, got 7"},
      {R"({"positions": "sinusoidal", "width": 33})", "needs an even width"},
      {R"({"position_offset": -1})", "position_offset: -1 is outside"},
      {R"({"longest_row": 3})", "is above longest_row 3"},
      {R"({"window": 5, "objective": "mlm"})", "model: window 5 needs objective clm"},
      {R"({"window_layers": [1]})", "model: window_layers needs a window"},
      {R"({"window": 5, "window_layers": [1, 1]})", "window_layers must rise within [0, layers"},
      {R"({"window": 5, "window_layers": [7]})", "window_layers must rise within [0, layers"},
      {R"({"window": 5, "window_layers": []})", "window_layers: expected a list of layers"},
      {R"({"embed_width": 8, "objective": "mlm"})", "model: embed_width 8 beside width 24"},
      {R"({"rope_width": 2})", "rope_width 2 needs positions rope"},
      {R"({"positions": "rope", "rope_width": 3})", "rope_width 3 must be even"},
      {R"({"positions": "rope", "rope_scaling": {"factor": 2}})", "needs \"kind\""},
      {R"({"positions": "rope", "rope_scaling": {"kind": "ntk", "factor": 2}})", "\"ntk\" is not linear"},
      {R"({"positions": "rope", "rope_scaling": {"kind": "llama3", "factor": 2}})", "needs original_context"},
      {R"({"positions": "rope", "rope_scaling": {"kind": "linear", "factor": 2, "beta_fast": 1}})",
       "beta_fast"},
      {R"({"positions": "rope", "rope_scaling": {"kind": "longrope", "factor": 2, "original_context": 9,
           "short_factor": [1], "long_factor": [1]}})",
       "needs 4 factors, one of each pair that turns, got 1"},
      {R"({"positions": "rope", "rope_scaling": {"kind": "longrope", "factor": 2, "original_context": 9,
           "short_factor": [1, 1, 1, 0], "long_factor": [1, 1, 1, 1]}})",
       "short_factor and long_factor 0 is outside"},
      {R"({"positions": "rope", "rope_theta": 0.5, "rope_scaling": {"kind": "yarn", "factor": 2, "original_context": 8}})",
       "rope_theta above 1"},
      {R"({"embed_scale": 0})", "embed_scale 0 must not be 0"},
      {R"({"norm_eps": 0})", "norm_eps 0 is outside (0, 1]"},
      {R"({"rope_theta": -1})", "rope_theta -1"},
      {R"({"attn_scale": 0})", "attn_scale must be in (0, 1e6]"},
      {R"({"attn_scale": -1})", "attn_scale must be in (0, 1e6]"},
      {R"({"attn_softcap": -1})", "attn_softcap must be in (0, 1e6]"},
      {R"({"logit_softcap": 0})", "logit_softcap must be in (0, 1e6]"},
      {R"({"gain_offset": 1e9})", "gain_offset"},
      {R"({"bias": 1})", "bias: expected true or false"},
      {R"({"bias": {"qvk": true}})", "nearest valid key: \"qkv\""},
      {R"({"tied": "yes"})", "tied: expected true or false"},
      {R"({"norms": "normfromer"})", "nearest valid: \"normformer\""},
      {R"({"norms": "attn{ni=ln}"})", "column 6: unknown slot of attn{} \"ni\""},
      {R"({"norms": "attn{}; 3: attn{}"})", "names layers 3..4, outside the model's 0..3"},
      {R"({"norms": 3})", "norms: expected a string"},
      {R"({"experts": 4})", "experts_per_token 0 is outside [1, experts 4]"},
      {R"({"experts": 4, "experts_per_token": 5})", "experts_per_token 5 is outside [1, experts 4]"},
      {R"({"experts_per_token": 2})", "experts_per_token 2 needs experts"},
      {R"({"router_normalize": true})", "router_normalize needs experts"},
      {R"({"experts": 4, "experts_per_token": 2, "norms": "normformer"})", "layer 0 has a mid norm"},
      {R"({"classes": 2})", "classes 2 needs objective classify"},
      {R"({"objective": "classify"})", "objective classify needs classes"},
      {R"({"adaptive": {}})", "adaptive: needs \"cutoffs\""},
      {R"({"adaptive": {"cutoffs": [40, 10]}})", "cutoffs must rise"},
      {R"({"adaptive": {"cutoffs": [67]}})", "cutoffs must rise within (0, vocab_size 67)"},
      {R"({"adaptive": {"cutoffs": [10, 40], "factor": 5}})", "factor 5 must divide width 24"},
      {R"({"adaptive": {"cutoffs": [10]}, "tied": false})", "tied cannot be false"},
      {R"({"adaptive": {"cutoffs": [10]}, "objective": "mlm"})", "adaptive is for objective clm"},
      {R"({"tokenizer": "../secret"})", "tokenizer must be a file name"},
      {R"({"norms": "attn{gain=outer}", "width": 25, "head_dim": 8})", "layer 0 has gain=outer"},
      {R"({"norms": "ngpt", "activation": "gelu"})", "needs a gated activation (swiglu), got gelu"},
      {R"({"norms": "ngpt", "activation": "swiglu", "kv_heads": 1})", "kv_heads must equal heads"},
      {R"({"vocab_size": 60000000, "width": 1048576, "head_dim": 8})", "parameters; at most"},
      {R"({"layers": 4096, "ffn_width": 4000000, "width": 999999, "experts": 4096, "experts_per_token": 1})",
       "parameters; at most"},
  };
  for (const Case& c : cases) {
    INFO(c.changes);
    CHECK_THROWS_WITH(with(c.changes), Contains(c.message));
    CHECK_THROWS_AS(with(c.changes), engine::Error);
  }
  for (const char* key : {"format", "version", "objective", "vocab_size", "context", "layers", "width",
                          "heads", "ffn_width", "activation", "positions", "norms"}) {
    Json json = small();
    json.erase(key);
    INFO(key);
    CHECK_THROWS_AS(read(json), engine::Error);
  }
}

TEST_CASE("config: every size preset, under every placement it can have", "[config]") {
  for (const SizePreset& size : size_presets()) {
    CHECK(to_json(model_preset(size.name)).contains("norms"));
    CHECK_FALSE(size.citation.empty());
    for (const nn::NormPreset& norms : nn::norm_presets()) {
      INFO(size.name << " " << norms.name);
      ModelConfig c = size.config;
      set_norms(c, norms.name);
      try {
        c = checked(c);
      } catch (const engine::Error& refused) {  // a mixture has no mid norm; nGPT no groups, experts or bands
        CHECK((c.experts > 0 || norms.name == "ngpt"));
        continue;
      }
      CHECK(parameter_count(c) > 100000);
      ModelConfig again = read(to_json(c));
      again.suggested_init = c.suggested_init;
      CHECK(again == c);
    }
  }
}
