// Read first: config.h; the keys are in config_fields.cc.
#include "train/config.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "train/cli_help.h"

namespace train {
namespace {

using engine::check;
using engine::fail;
using engine::Json;

/// Calls with the overload that fits the field's type.
template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

/// The shortest text that reads back as the same double.
std::string short_number(double x) { return engine::json_text(Json(x)); }

void check_range(double x, const Field& field, const std::string& name) {
  check(x >= field.range.low && x <= field.range.high, name, ": ", short_number(x), " is outside [",
        short_number(field.range.low), ", ", short_number(field.range.high), "]");
}

void read_field(const Field& field, const Json& json, const std::string& what) {
  const std::string name = what + ": " + field.path;
  std::visit(Overloaded{
                 [&](bool* p) { *p = engine::json_bool(json, name); },
                 [&](int64_t* p) {
                   *p = engine::json_int(json, name, int64_t(field.range.low), int64_t(field.range.high));
                 },
                 [&](double* p) { check_range(*p = engine::json_number(json, name), field, name); },
                 [&](std::string* p) { *p = engine::json_string(json, name); },
                 [&](std::array<double, 2>* p) {
                   check(json.is_array() && json.size() == 2, name, ": expected two numbers, got ",
                         engine::json_text(json).substr(0, 64));
                   for (size_t i : {0, 1})
                     check_range((*p)[i] = engine::json_number(json[i], name), field, name);
                 },
                 [&](const Choice& c) {
                   const std::string word = engine::json_string(json, name);
                   const auto found = std::find(c.words.begin(), c.words.end(), word);
                   check(found != c.words.end(), name, ": \"", word, "\" is not ", engine::one_of(c.words),
                         " (nearest: ", engine::nearest_word(word, c.words), ")");
                   *c.value = uint8_t(found - c.words.begin());
                 },
                 [&](Json* p) {
                   check(json.is_object(), name, ": expected an object, got ", json.type_name());
                   *p = json;
                 },
             },
             field.value);
}

Json write_field(const Field& field) {
  return std::visit(Overloaded{
                        [](const Choice& c) { return Json(c.words[*c.value]); },
                        [](auto* p) { return Json(*p); },
                    },
                    field.value);
}

/// "optim" of "optim.lr"; "" of "seed".
std::string section_of(const std::string& path) {
  const size_t dot = path.find('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

std::vector<std::string> paths(const std::vector<Field>& fields) {
  std::vector<std::string> out;
  for (const Field& field : fields) out.push_back(field.path);
  return out;
}

[[noreturn]] void unknown_key(const std::string& path, const std::vector<Field>& fields,
                              const std::string& what) {
  for (const Field& field : fields)
    check(section_of(field.path) != path, what, ": \"", path, "\" is a section; set its keys, such as ",
          field.path);
  fail(what, ": unknown key \"", path, "\" (nearest valid key: \"", engine::nearest_word(path, paths(fields)),
       "\")");
}

/// Rules that concern more than one key.
void check_together(const TrainConfig& c, const std::string& what) {
  check(c.schedule.min_lr <= c.optim.lr || c.schedule.name == ScheduleKind::ramp, what, ": schedule.min_lr ",
        c.schedule.min_lr, " is above optim.lr ", c.optim.lr);
  check(c.schedule.name != ScheduleKind::inverse_sqrt || c.schedule.warmup > 0, what,
        ": schedule.name inverse_sqrt needs schedule.warmup above 0");
  check(c.data.mask_keep + c.data.mask_random <= 1, what, ": data.mask_keep + data.mask_random is ",
        c.data.mask_keep + c.data.mask_random, ", above 1");
  check(!c.loss_scale.memory_efficient || c.precision == PrecisionKind::f16, what,
        ": loss_scale.memory_efficient needs precision f16");
  check(c.loss_scale.factor > 1, what, ": loss_scale.factor must be above 1");
  check(c.eval.patience == 0 || (c.eval.every > 0 && !c.data.valid.empty()), what,
        ": eval.patience needs validations: set eval.every and data.valid");
}

}  // namespace

TrainConfig parse_config(const Json& json, const std::string& what) {
  TrainConfig config;
  const std::vector<Field> fields = config_fields(config);
  std::map<std::string, const Field*> by_path;
  std::map<std::string, std::string> sections;  // name -> its keys, for messages
  for (const Field& field : fields) {
    by_path[field.path] = &field;
    const std::string section = section_of(field.path);
    if (!section.empty()) sections[section] += " " + field.path.substr(section.size() + 1);
  }
  const auto read = [&](const std::string& path, const Json& value) {
    const auto found = by_path.find(path);
    if (found == by_path.end()) unknown_key(path, fields, what);
    read_field(*found->second, value, what);
  };
  check(json.is_object(), what, ": expected an object, got ", json.type_name());
  for (const auto& [key, value] : json.items()) {
    if (sections.count(key) == 0) {
      read(key, value);
      continue;
    }
    check(value.is_object(), what, ": ", key, ": expected an object of", sections[key], ", got ",
          value.type_name());
    for (const auto& [inner, inner_value] : value.items()) read(key + "." + inner, inner_value);
  }
  check_together(config, what);
  return config;
}

void apply_override(Json& json, const std::string& text) {
  const size_t equals = text.find('=');
  check(equals != std::string::npos && equals > 0, "--set ", text,
        ": expected KEY=VALUE, such as optim.lr=1e-3");
  const std::string path = text.substr(0, equals), raw = text.substr(equals + 1);
  TrainConfig unused;
  const std::vector<Field> fields = config_fields(unused);
  const bool in_model = path.rfind("model.", 0) == 0;
  const auto field =
      std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.path == path; });
  if (field == fields.end() && !in_model) unknown_key(path, fields, "--set " + text);

  const bool holds_text = !in_model && (std::holds_alternative<std::string*>(field->value) ||
                                        std::holds_alternative<Choice>(field->value));
  Json value = Json::parse(raw, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded() || (holds_text && !value.is_string())) {
    check(holds_text || in_model, "--set ", text, ": \"", raw, "\" is not a JSON value");
    value = raw;
  }
  Json* place = &json;
  for (size_t start = 0, dot;; start = dot + 1) {
    dot = path.find('.', start);
    const std::string key = path.substr(start, dot - start);
    check(place->is_object() && !key.empty(), "--set ", text, ": \"", path.substr(0, start),
          "\" is not an object");
    place = &(*place)[key];
    if (dot == std::string::npos) break;
    if (place->is_null()) *place = Json::object();
  }
  *place = std::move(value);
}

TrainConfig load_config(const std::string& path, const std::vector<std::string>& overrides) {
  Json json = path.empty() ? Json::object() : engine::read_json(path, size_t(16) << 20);
  check(json.is_object(), path, ": expected an object, got ", json.type_name());
  for (const std::string& text : overrides) apply_override(json, text);
  return parse_config(json, path.empty() ? "config" : path);
}

Json config_json(const TrainConfig& config) {
  TrainConfig copy = config;
  Json out = Json::object();
  for (const Field& field : config_fields(copy)) {
    const std::string section = section_of(field.path);
    if (section.empty()) {
      out[field.path] = write_field(field);
    } else {
      out[section][field.path.substr(section.size() + 1)] = write_field(field);
    }
  }
  return out;
}

std::string config_help() {
  TrainConfig defaults;
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Field& field : config_fields(defaults)) {
    std::string doc = field.doc;
    if (const Choice* c = std::get_if<Choice>(&field.value)) doc += " [" + engine::one_of(c->words) + "]";
    const Json value = write_field(field);
    if (!value.empty() && value != "")
      doc += " (default: " + (value.is_string() ? value.get<std::string>() : engine::json_text(value)) + ")";
    rows.push_back({field.path, doc});
  }
  return "Keys of the config file and of --set KEY=VALUE:\n\n" + two_columns(rows);
}

}  // namespace train
