// JSON of a ModelConfig: the table of keys. Read first: config.h.
#include "models/config.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "models/size_presets.h"
#include "nn/norm_presets.h"

namespace models {
namespace {

using engine::Json;

constexpr int64_t largest_size = int64_t(1) << 26;

/// One key: how to read it, and its value for writing (null: at its default, not written).
struct Key {
  const char* name;
  bool required;
  std::function<void(ModelConfig&, const Json&, const std::string& what)> read;
  std::function<Json(const ModelConfig&)> write;
  bool is_number = false;
};

template <class Enum, size_t n>
Enum read_word(const Json& json, const std::string& what, const std::array<const char*, n>& names) {
  const std::string word = engine::json_string(json, what);
  for (size_t i = 0; i < n; ++i)
    if (word == names[i]) return Enum(i);
  const std::vector<std::string> valid(names.begin(), names.end());
  engine::fail(what, ": unknown value \"", word.substr(0, 40), "\"", engine::near_hint(word, valid));
}

Key size_key(const char* name, bool required, int64_t low, int64_t ModelConfig::*member,
             int64_t absent = -1) {
  return {name, required,
          [=](ModelConfig& c, const Json& j, const std::string& what) {
            c.*member = engine::json_int(j, what, low, largest_size);
          },
          [=](const ModelConfig& c) { return c.*member == absent ? Json() : Json(c.*member); }, true};
}
Key number_key(const char* name, double ModelConfig::*member) {
  const double absent = ModelConfig().*member;
  return {name, false,
          [=](ModelConfig& c, const Json& j, const std::string& what) {
            c.*member = engine::json_number(j, what);
          },
          [=](const ModelConfig& c) { return c.*member == absent ? Json() : Json(c.*member); }, true};
}
Key optional_key(const char* name, std::optional<double> ModelConfig::*member) {
  return {name, false,
          [=](ModelConfig& c, const Json& j, const std::string& what) {
            c.*member = engine::json_number(j, what);
          },
          [=](const ModelConfig& c) { return c.*member ? Json(*(c.*member)) : Json(); }, true};
}
Key flag_key(const char* name, bool ModelConfig::*member) {
  const bool absent = ModelConfig().*member;
  return {
      name, false,
      [=](ModelConfig& c, const Json& j, const std::string& what) { c.*member = engine::json_bool(j, what); },
      [=](const ModelConfig& c) { return c.*member == absent ? Json() : Json(c.*member); }};
}
template <class Enum, size_t n>
Key word_key(const char* name, Enum ModelConfig::*member, const std::array<const char*, n>& names) {
  return {name, true,
          [=, &names](ModelConfig& c, const Json& j, const std::string& what) {
            c.*member = read_word<Enum>(j, what, names);
          },
          [=, &names](const ModelConfig& c) { return Json(names[size_t(c.*member)]); }};
}

void read_bias(ModelConfig& c, const Json& json, const std::string& what) {
  if (!json.is_object()) {
    const bool all = engine::json_bool(json, what);
    c.bias = {all, all, all};
    return;
  }
  engine::check_keys(json, {"qkv", "out", "ffn"}, what);
  const auto part = [&](const char* name) {
    return !json.contains(name) || engine::json_bool(json[name], what + "." + name);
  };
  c.bias = {part("qkv"), part("out"), part("ffn")};
}
Json write_bias(const ModelConfig& c) {
  const BiasChoice& b = c.bias;
  if (b.qkv == b.out && b.out == b.ffn) return b.qkv ? Json() : Json(false);
  return {{"qkv", b.qkv}, {"out", b.out}, {"ffn", b.ffn}};
}

void read_adaptive(ModelConfig& c, const Json& json, const std::string& what) {
  engine::check_keys(json, {"cutoffs", "factor"}, what);
  engine::check(json.contains("cutoffs") && json["cutoffs"].is_array(), what,
                ": needs \"cutoffs\", a list of token ids");
  engine::check(json["cutoffs"].size() <= 16, what, ".cutoffs: at most 16, got ", json["cutoffs"].size());
  Adaptive adaptive;
  for (const Json& cutoff : json["cutoffs"])
    adaptive.cutoffs.push_back(engine::json_int(cutoff, what + ".cutoffs", 1, largest_size));
  if (json.contains("factor")) adaptive.factor = engine::json_int(json["factor"], what + ".factor", 1, 64);
  c.adaptive = adaptive;
}
Json write_adaptive(const ModelConfig& c) {
  if (!c.adaptive) return {};
  return {{"cutoffs", c.adaptive->cutoffs}, {"factor", c.adaptive->factor}};
}

void read_window_layers(ModelConfig& c, const Json& json, const std::string& what) {
  engine::check(json.is_array() && !json.empty() && json.size() <= 65536, what,
                ": expected a list of layers");
  c.window_layers.clear();
  for (const Json& layer : json) c.window_layers.push_back(engine::json_int(layer, what, 0, largest_size));
}

void read_class_names(ModelConfig& c, const Json& json, const std::string& what) {
  engine::check(json.is_array() && json.size() <= 65536, what, ": expected a list of names");
  for (const Json& name : json) c.class_names.push_back(engine::json_string(name, what));
}

void read_norms(ModelConfig& c, const Json& json, const std::string& what) {
  if (json.is_object()) return void(c.norms = nn::norm_spec_from_json(json));
  const std::string text = engine::json_string(json, what);
  engine::check(text.find_first_not_of(" \t\r\n") != text.npos,
                "norms: an empty text; \"attn{} ffn{}\" is a model without norms");
  set_norms(c, text);
}

/// In the order in which they are written. norms stands last: a preset's text depends on the sizes before it.
const std::vector<Key>& keys() {
  using C = ModelConfig;
  static const std::vector<Key> table = {
      word_key("objective", &C::objective, objective_names),
      size_key("vocab_size", true, 1, &C::vocab_size),
      size_key("context", true, 1, &C::context),
      size_key("layers", true, 1, &C::layers),
      size_key("width", true, 1, &C::width),
      size_key("heads", true, 1, &C::heads),
      {"kv_heads", false, size_key("", false, 1, &C::kv_heads).read,
       [](const C& c) { return c.kv_heads == 0 || c.kv_heads == c.heads ? Json() : Json(c.kv_heads); }, true},
      {"head_dim", false, size_key("", false, 1, &C::head_dim).read,
       [](const C& c) {
         return c.head_dim == 0 || c.head_dim * c.heads == c.width ? Json() : Json(c.head_dim);
       },
       true},
      size_key("ffn_width", true, 1, &C::ffn_width),
      word_key("activation", &C::activation, nn::activation_names),
      word_key("positions", &C::positions, nn::position_names),
      size_key("position_offset", false, 0, &C::position_offset, 0),
      size_key("longest_row", false, 0, &C::longest_row, 0),
      size_key("window", false, 0, &C::window, 0),
      {"window_layers", false, read_window_layers,
       [](const C& c) { return c.window_layers.empty() ? Json() : Json(c.window_layers); }},
      number_key("rope_theta", &C::rope_theta),
      {"rope_width", false, size_key("", false, 1, &C::rope_width).read,
       [](const C& c) {
         return c.rope_width == 0 || c.rope_width == c.head_dim ? Json() : Json(c.rope_width);
       },
       true},
      {"rope_scaling", false,
       [](C& c, const Json& j, const std::string& what) { c.rope_scaling = rope_scaling_from_json(j, what); },
       [](const C& c) { return c.rope_scaling ? to_json(*c.rope_scaling) : Json(); }},
      size_key("token_types", false, 0, &C::token_types, 0),
      number_key("embed_scale", &C::embed_scale),
      size_key("embed_width", false, 0, &C::embed_width, 0),
      {"bias", false, read_bias, write_bias},
      flag_key("tied", &C::tied),
      number_key("norm_eps", &C::norm_eps),
      optional_key("attn_scale", &C::attn_scale),
      optional_key("attn_softcap", &C::attn_softcap),
      optional_key("logit_softcap", &C::logit_softcap),
      number_key("gain_offset", &C::gain_offset),
      size_key("experts", false, 0, &C::experts, 0),
      size_key("experts_per_token", false, 0, &C::experts_per_token, 0),
      flag_key("router_normalize", &C::router_normalize),
      {"adaptive", false, read_adaptive, write_adaptive},
      size_key("classes", false, 0, &C::classes, 0),
      {"class_names", false, read_class_names,
       [](const C& c) { return c.class_names.empty() ? Json() : Json(c.class_names); }},
      {"tokenizer", false,
       [](C& c, const Json& j, const std::string& what) { c.tokenizer = engine::json_string(j, what); },
       [](const C& c) { return c.tokenizer.empty() ? Json() : Json(c.tokenizer); }},
      {"norms", true, read_norms, [](const C& c) { return Json(print(c.norms)); }},
  };
  return table;
}

std::vector<std::string> key_names(std::vector<std::string> more) {
  for (const Key& key : keys()) more.push_back(key.name);
  return more;
}

bool present(const Json& json, const char* key) { return json.contains(key) && !json[key].is_null(); }

/// Reads the keys that stand in json into c. null means absent.
void read_keys(ModelConfig& c, const Json& json, const std::string& what) {
  for (const Key& key : keys())
    if (present(json, key.name)) key.read(c, json[key.name], what + ": " + key.name);
}

/// Every required key must stand in json; a norms preset may bring the activation.
void check_required(const Json& json, const std::string& what) {
  const nn::NormPreset* preset = present(json, "norms") && json["norms"].is_string()
                                     ? nn::find_norm_preset(json["norms"].get<std::string>())
                                     : nullptr;
  for (const Key& key : keys()) {
    if (preset && !preset->activation.empty() && key.name == std::string("activation")) continue;
    engine::check(!key.required || present(json, key.name), what, ": key \"", key.name, "\" is missing");
  }
}

/// An activation that was written down wins over the one that a norms preset brings.
void keep_written_activation(ModelConfig& c, const Json& json, const std::string& what) {
  if (present(json, "activation"))
    c.activation = read_word<nn::Activation>(json["activation"], what + ": activation", nn::activation_names);
}

/// The marks of a model directory, where they stand: a later version may mean something else by the same
/// keys.
void check_format(const Json& json, const std::string& what) {
  engine::check(!json.contains("format") || json["format"] == "normlab-model", what,
                ": \"format\" must be \"normlab-model\", the mark of a model directory");
  if (json.contains("version")) engine::json_int(json["version"], what + ": version", 1, 1);
}

}  // namespace

static ModelConfig config_of_file(const Json& json, const std::string& what) {
  engine::check_keys(json, key_names({"format", "version"}), what);
  for (const char* key : {"format", "version"})
    engine::check(json.contains(key), what, ": key \"", key, "\" is missing");
  check_format(json, what);
  check_required(json, what);
  ModelConfig c;
  read_keys(c, json, what);
  keep_written_activation(c, json, what);
  return checked(c);
}

ModelConfig model_config_from_json(const Json& json, const std::string& what) {
  try {
    return config_of_file(json, what);
  } catch (const engine::Error& e) {  // rules between keys, and the norms' text, name no file
    const std::string text = e.what();
    if (text.starts_with(what)) throw;
    engine::fail(what, ": ", text);
  }
}

ModelConfig read_model_config(const std::string& path) {
  return model_config_from_json(engine::read_json(path, size_t(1) << 20), path);
}

ModelConfig model_config_from_section(const Json& json, const std::string& what) {
  engine::check_keys(json, key_names({"format", "version", "preset"}), what);
  check_format(json, what);
  if (!present(json, "preset")) {
    check_required(json, what);
    ModelConfig c;
    read_keys(c, json, what);
    keep_written_activation(c, json, what);
    return checked(c);
  }
  const SizePreset& preset = find_size_preset(engine::json_string(json["preset"], what + ": preset"));
  ModelConfig c = preset.config;
  read_keys(c, json, what);
  if (!present(json, "norms")) set_norms(c, preset.norms);
  keep_written_activation(c, json, what);
  return checked(c);
}

void check_model_key(const std::string& name, const Json& value, const std::string& what) {
  if (name == "preset") return void(find_size_preset(engine::json_string(value, what)));
  for (const Key& key : keys()) {
    if (name != key.name) continue;
    ModelConfig unused;
    unused.layers = 12;  // presets of norms depend on it
    if (name != "norms") return key.read(unused, value, what);
    try {  // whose messages name no source
      return key.read(unused, value, what);
    } catch (const engine::Error& e) {
      engine::fail(what, ": ", e.what());
    }
  }
  engine::check_keys(Json{{name, value}}, key_names({"format", "version", "preset"}), what);
}

bool is_number_key(const std::string& name) {
  return std::any_of(keys().begin(), keys().end(),
                     [&](const Key& key) { return key.is_number && name == key.name; });
}

Json to_json(const ModelConfig& config) {
  Json json = {{"format", "normlab-model"}, {"version", 1}};
  for (const Key& key : keys()) {
    const Json value = key.write(config);
    if (!value.is_null()) json[key.name] = value;
  }
  return json;
}

void set_norms(ModelConfig& config, const std::string& text) {
  const nn::NamedNorms norms = nn::read_norms(text, {config.layers});
  config.norms = norms.spec;
  config.suggested_init = norms.preset ? norms.preset->init : "";
  if (!norms.preset || norms.preset->activation.empty()) return;
  config.activation = read_word<nn::Activation>(norms.preset->activation, "activation", nn::activation_names);
}

int64_t ModelConfig::window_of(int64_t layer) const {
  const bool named = std::find(window_layers.begin(), window_layers.end(), layer) != window_layers.end();
  return window_layers.empty() || named ? window : 0;
}

const std::string& init_rule(const ModelConfig& config) {
  return config.norms.init.empty() ? config.suggested_init : config.norms.init;
}

double score_scale(const ModelConfig& config) {
  if (config.attn_scale) return *config.attn_scale;
  const double root = std::sqrt(double(config.head_dim));
  return config.norms.stream.kind == nn::StreamKind::ngpt ? root : 1 / root;
}

engine::RopeAngles rope_angles(const ModelConfig& c, bool long_rows) {
  if (c.positions != nn::Positions::rope) return {};
  return rope_angles(c.head_dim, c.rope_width, c.rope_theta, c.rope_scaling, long_rows);
}
int64_t long_rows_from(const ModelConfig& c) {
  return c.rope_scaling && c.rope_scaling->kind == RopeKind::longrope ? c.rope_scaling->original_context : 0;
}

}  // namespace models
