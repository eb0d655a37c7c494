// Read first: rope_keys.h.
#include "models/hf/rope_keys.h"

#include <algorithm>
#include <cmath>

#include "engine/base/check.h"

namespace models {
namespace {

using engine::check;
using engine::Json;
using C = ModelConfig;

/// One rope object; every key must be asked for, or it is refused.
class RopeObject {
 public:
  explicit RopeObject(const HfValue& value) : value_(value) {}

  const Json* find(const char* key) {
    known_.push_back(key);
    const bool there = value_.value.contains(key) && !value_.value[key].is_null();
    return there ? &value_.value[key] : nullptr;
  }
  double number(const char* key, double absent) {
    const Json* json = find(key);
    return json ? engine::json_number(*json, name(key)) : absent;
  }
  double needed_number(const char* key) {
    const Json* json = find(key);
    check(json != nullptr, name(key), " is missing");
    return engine::json_number(*json, name(key));
  }
  /// The context that the model was trained on: by default the one that it has. Beside the object it counts
  /// before the object's own, as in transformers.
  int64_t original_context(const C& c) {
    const char* const key = "original_max_position_embeddings";
    const Json* json = find(key);
    const bool beside = value_.all.contains(key) && !value_.all[key].is_null();
    if (beside) json = &value_.all[key];
    return json ? engine::json_int(*json, beside ? value_.what + " beside " + key : name(key), 1,
                                   int64_t(1) << 26)
                : longest_context(c);
  }
  int64_t longest_context(const C& c) const {
    const Json& all = value_.all;
    if (!all.contains("max_position_embeddings")) return c.context;
    return engine::json_int(all["max_position_embeddings"], "max_position_embeddings", 1, int64_t(1) << 26);
  }
  std::string name(const std::string& key) const { return value_.what + "." + key; }

  void check_all_known(const std::string& type) const {
    for (const auto& [key, value] : value_.value.items())
      check(value.is_null() || std::find(known_.begin(), known_.end(), key) != known_.end(), name(key), " ",
            engine::json_text(value).substr(0, 40), " cannot be said here beside rope_type \"", type, "\"");
  }

 private:
  const HfValue& value_;
  std::vector<std::string> known_;
};

/// YaRN's factor on what turns, as transformers works it out (DeepSeek's mscale and mscale_all_dim).
std::optional<double> yarn_attention_factor(RopeObject& rope, double factor) {
  const double mscale = rope.number("mscale", 0), all = rope.number("mscale_all_dim", 0);
  if (const Json* json = rope.find("attention_factor"))
    return engine::json_number(*json, rope.name("attention_factor"));
  if (mscale == 0 || all == 0) return std::nullopt;
  const auto scale = [&](double m) { return factor <= 1 ? 1 : 0.1 * m * std::log(factor) + 1; };
  return scale(mscale) / scale(all);
}

Json scaling_json(const C& c, RopeObject& rope, const std::string& type) {
  Json json = {{"kind", type}};
  if (type == "linear") {
    json["factor"] = rope.needed_number("factor");
    return json;
  }
  json["original_context"] = rope.original_context(c);
  if (type == "llama3") {
    json["factor"] = rope.needed_number("factor");
    json["low_freq_factor"] = rope.needed_number("low_freq_factor");
    json["high_freq_factor"] = rope.needed_number("high_freq_factor");
    return json;
  }
  if (type == "longrope") {
    const auto factors = [&](const char* key) {
      const Json* list = rope.find(key);
      check(list != nullptr, rope.name(key), " is missing");
      json[key] = *list;
    };
    factors("short_factor"), factors("long_factor");
    json["factor"] =
        rope.number("factor", double(rope.longest_context(c)) / json["original_context"].get<double>());
    if (const Json* factor = rope.find("attention_factor"))
      json["attention_factor"] = engine::json_number(*factor, rope.name("attention_factor"));
    return json;
  }
  const double factor = rope.needed_number("factor");
  json["factor"] = factor;
  const auto or_default = [](double given, double absent) { return given == 0 ? absent : given; };
  json["beta_fast"] = or_default(rope.number("beta_fast", 0), 32);
  json["beta_slow"] = or_default(rope.number("beta_slow", 0), 1);
  if (const Json* truncate = rope.find("truncate"))
    json["truncate"] = engine::json_bool(*truncate, rope.name("truncate"));
  rope.find("finetuned");  // says how the weights came about
  if (const auto attention = yarn_attention_factor(rope, factor)) json["attention_factor"] = *attention;
  return json;
}

std::string rope_type(RopeObject& rope) {
  const Json* now = rope.find("rope_type");
  const Json* before = rope.find("type");  // its older name
  if (now == nullptr) now = before;
  return now ? engine::json_string(*now, rope.name("rope_type")) : "default";
}

void read_partial(C& c, RopeObject& rope, bool partial) {
  const double share = rope.number("partial_rotary_factor", partial ? 0 : 1);
  if (partial && share == 0) return;  // another key says it
  check(share > 0 && share <= 1 && (partial || share == 1), rope.name("partial_rotary_factor"), " ", share,
        " cannot be said here: rotary positions turn the whole head");
  if (partial) c.rope_width = int64_t(double(c.width / c.heads) * share);
}

}  // namespace

void read_hf_rope(C& c, const HfValue& v, bool partial) {
  if (v.value.is_null()) return;
  check(v.value.is_object(), v.what, ": expected an object, got ", engine::json_text(v.value).substr(0, 40));
  RopeObject rope(v);
  c.rope_theta = rope.number("rope_theta", c.rope_theta);
  read_partial(c, rope, partial);
  const std::string type = rope_type(rope);
  if (type == "dynamic") {  // theta grows with the row, from the context on
    rope.needed_number("factor");
    rope.original_context(c);
    c.longest_row = c.longest_row > 0 ? std::min(c.longest_row, c.context) : c.context;
  } else if (type != "default") {
    check(type == "linear" || type == "llama3" || type == "yarn" || type == "longrope", v.what,
          ".rope_type \"", type.substr(0, 40),
          "\" cannot be said here: only \"default\", \"linear\", \"dynamic\", \"llama3\", \"yarn\" and "
          "\"longrope\"");
    c.rope_scaling = rope_scaling_from_json(scaling_json(c, rope, type), v.what);
  }
  rope.check_all_known(type);
}

Json hf_rope_parameters(const C& c) {
  Json json = c.rope_scaling      ? to_json(*c.rope_scaling)
              : c.longest_row > 0 && c.longest_row == c.context ? Json{{"kind", "dynamic"}, {"factor", 1.0}}
                                  : Json{{"kind", "default"}};
  const auto rename = [&](const char* ours, const char* theirs) {
    if (!json.contains(ours)) return;
    json[theirs] = json[ours];
    json.erase(ours);
  };
  rename("kind", "rope_type"), rename("original_context", "original_max_position_embeddings");
  json["rope_theta"] = c.rope_theta;
  return json;
}

std::vector<HfKey> hf_rope_keys(double theta) {
  const HfKey base = {"rope_theta", Json(),
                      [=](C& c, const HfValue& v) {
                        c.rope_theta = v.value.is_null() ? theta : engine::json_number(v.value, v.what);
                      },
                      [](const C& c) { return Json(c.rope_theta); }};
  // Both win over rope_theta where they name a theta; where both stand the older name counts, as in
  // transformers.
  const HfKey parameters = {"rope_parameters", Json(),
                            [](C& c, const HfValue& v) {
                              const Json& all = v.all;
                              const bool replaced =
                                  all.contains("rope_scaling") && !all["rope_scaling"].empty();
                              if (!replaced) read_hf_rope(c, v, false);
                            },
                            hf_rope_parameters, Keep::yes};
  const HfKey scaling = {"rope_scaling", Json(), [](C& c, const HfValue& v) { read_hf_rope(c, v, false); },
                         [](const C& c) -> std::optional<Json> {
                           if (!c.rope_scaling) return std::nullopt;
                           Json json = hf_rope_parameters(c);
                           json.erase("rope_theta");
                           return json;
                         },
                         Keep::yes};
  const HfKey original = {"original_max_position_embeddings", Json(), {}, {}, Keep::yes};
  return {base, parameters, scaling, original};
}

}  // namespace models
