// Read first: config.h; the keys are in config_fields.cc.
#include "train/config.h"

#include <algorithm>
#include <cstdio>
#include <cmath>
#include <map>
#include <optional>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "models/config.h"
#include "train/commands/cli.h"
#include "train/commands/cli_help.h"

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

/// `name` is what messages call the value.
void read_field(const Field& field, const Json& json, const std::string& name) {
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
                   const std::string near = engine::near_word(word, c.words);
                   check(found != c.words.end(), name, ": \"", word, "\" is not ", engine::one_of(c.words),
                         near.empty() ? "" : " (nearest: " + near + ")");
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

/// Whether numbers may have the units of times behind them.
bool is_time(const std::string& path) { return path.ends_with("seconds") || path == "parallel.timeout"; }

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

std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

/// Names that transformers, fairseq, nanoGPT and others have for keys of ours.
struct OtherName {
  const char *theirs, *ours;
};
constexpr OtherName other_names[] = {
    {"learning_rate", "optim.lr"},
    {"max_lr", "optim.lr"},
    {"peak_lr", "optim.lr"},
    {"adam_beta1", "optim.betas"},
    {"adam_beta2", "optim.betas"},
    {"adam_betas", "optim.betas"},
    {"beta1", "optim.betas"},
    {"beta2", "optim.betas"},
    {"adam_eps", "optim.eps"},
    {"adam_epsilon", "optim.eps"},
    {"epsilon", "optim.eps"},
    {"wd", "optim.weight_decay"},
    {"max_grad_norm", "optim.clip"},
    {"grad_clip", "optim.clip"},
    {"clip_norm", "optim.clip"},
    {"gradient_clip_val", "optim.clip"},
    {"optimizer", "optim.name"},
    {"lr_scheduler", "schedule.name"},
    {"lr_scheduler_type", "schedule.name"},
    {"scheduler", "schedule.name"},
    {"warmup_steps", "schedule.warmup"},
    {"warmup_iters", "schedule.warmup"},
    {"warmup_updates", "schedule.warmup"},
    {"num_warmup_steps", "schedule.warmup"},
    {"end_learning_rate", "schedule.min_lr"},
    {"lr_decay_iters", "schedule.steps"},
    {"total_num_update", "schedule.steps"},
    {"batch_size", "data.batch"},
    {"micro_batch_size", "data.batch"},
    {"per_device_train_batch_size", "data.batch"},
    {"gradient_accumulation_steps", "data.accumulate"},
    {"accumulate_grad_batches", "data.accumulate"},
    {"update_freq", "data.accumulate"},
    {"block_size", "data.context"},
    {"context_length", "data.context"},
    {"max_length", "data.context"},
    {"max_seq_length", "data.context"},
    {"seq_len", "data.context"},
    {"seq_length", "data.context"},
    {"sequence_length", "data.context"},
    {"tokens_per_sample", "data.context"},
    {"mask_prob", "data.mask_probability"},
    {"mlm_probability", "data.mask_probability"},
    {"steps", "budget.steps"},
    {"updates", "budget.steps"},
    {"max_steps", "budget.steps"},
    {"max_iters", "budget.steps"},
    {"max_update", "budget.steps"},
    {"total_steps", "budget.steps"},
    {"train_steps", "budget.steps"},
    {"max_tokens", "budget.tokens"},
    {"max_epoch", "budget.epochs"},
    {"max_epochs", "budget.epochs"},
    {"num_epochs", "budget.epochs"},
    {"num_train_epochs", "budget.epochs"},
    {"attention_dropout", "dropout.attention"},
    {"activation_dropout", "dropout.activation"},
    {"eval_interval", "eval.every"},
    {"eval_steps", "eval.every"},
    {"validate_interval", "eval.every"},
    {"eval_iters", "eval.batches"},
    {"save_interval", "checkpoint.every"},
    {"save_steps", "checkpoint.every"},
    {"save_total_limit", "checkpoint.keep"},
    {"log_interval", "log.every"},
    {"logging_steps", "log.every"},
    {"dtype", "precision"},
    {"fp16", "precision"},
    {"bf16", "precision"},
    {"gradient_checkpointing", "activation_checkpointing"},
};

/// The key that somebody means who writes `path`: by another trainer's name, by our name in the wrong
/// section, else a near one; or nothing.
std::string meant_key(const std::string& path, const std::vector<Field>& fields) {
  const std::string last = last_part(path);
  for (const OtherName& name : other_names)
    if (last == name.theirs) return name.ours;
  for (const Field& field : fields)
    if (last == last_part(field.path)) return field.path;
  return engine::near_word(path, paths(fields));
}

[[noreturn]] void unknown_key(const std::string& path, const std::vector<Field>& fields,
                              const std::string& what) {
  for (const Field& field : fields)
    check(section_of(field.path) != path, what, ": \"", path, "\" is a section; set its keys, such as ",
          field.path);
  const std::string meant = meant_key(path, fields);
  fail(what, ": unknown key \"", path, "\"",
       meant.empty() ? "; `normlab train --help` lists them" : " (nearest valid key: \"" + meant + "\")");
}

/// Rules that concern more than one key.
void check_together(const TrainConfig& c, const std::string& what) {
  check(c.schedule.min_lr <= c.optim.lr || c.schedule.name == ScheduleKind::ramp, what, ": schedule.min_lr ",
        c.schedule.min_lr, " is above optim.lr ", c.optim.lr);
  check(c.schedule.name != ScheduleKind::inverse_sqrt || c.schedule.warmup > 0, what,
        ": schedule.name inverse_sqrt needs schedule.warmup above 0");
  check(c.data.order == RowOrder::shuffled || c.data.sampler != Sampler::random_crop, what,
        ": data.order file has no meaning for data.sampler random_crop");
  check(c.data.mask_keep + c.data.mask_random <= 1, what, ": data.mask_keep + data.mask_random is ",
        c.data.mask_keep + c.data.mask_random, ", above 1");
  check(!c.loss_scale.memory_efficient || c.precision == PrecisionKind::f16, what,
        ": loss_scale.memory_efficient needs precision f16");
  check(c.schedule.power > 0 || c.schedule.name != ScheduleKind::polynomial, what,
        ": schedule.power 0 would never lower the rate; schedule.name constant says that");
  check(c.loss_scale.factor > 1, what, ": loss_scale.factor must be above 1");
  check(c.loss_scale.init > c.loss_scale.min, what, ": loss_scale.init ", short_number(c.loss_scale.init),
        " is not above loss_scale.min ", short_number(c.loss_scale.min), ", at which the run is given up");
  check(c.loss_scale.init >= c.loss_scale.floor, what, ": loss_scale.init ", short_number(c.loss_scale.init),
        " is below loss_scale.floor ", short_number(c.loss_scale.floor));
  check(c.eval.every == 0 || !c.data.valid.empty(), what,
        ": eval.every needs data to validate on: set data.valid (or eval.every=0)");
  check(c.eval.patience == 0 || (c.eval.every > 0 && !c.data.valid.empty()), what,
        ": eval.patience needs validations: set eval.every and data.valid");
}

/// Whether "model.x" is something else than a number. (What lies deeper in a key is told by its own form.)
bool is_text_of_model(const std::string& path) {
  const std::string key = path.substr(path.find('.') + 1);
  return key.find('.') == std::string::npos && !models::is_number_key(key);
}

}  // namespace

TrainConfig parse_config(const Json& json, const std::string& what, const std::vector<std::string>& overrides,
                         Rules rules) {
  std::map<std::string, std::string> blamed;  // path -> the override that set it
  for (const std::string& text : overrides) blamed[text.substr(0, text.find('='))] = "--set " + text;
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
    const auto by = blamed.find(path);
    read_field(*found->second, value, by == blamed.end() ? what + ": " + path : by->second);
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
  if (rules == Rules::all) check_together(config, what);
  return config;
}

void apply_override(Json& json, const std::string& text) {
  const size_t equals = text.find('=');
  check(equals != std::string::npos && equals > 0, "--set ", text,
        ": expected KEY=VALUE, such as optim.lr=1e-3");
  const std::string path = text.substr(0, equals), raw = text.substr(equals + 1);
  check(path.find('{') == std::string::npos, "--set ", text,
        ": a part of a placement, which the shell has cut up; quote the whole: model.norms='attn{in=ln} "
        "ffn{in=ln}'");
  TrainConfig unused;
  const std::vector<Field> fields = config_fields(unused);
  const bool in_model = path.rfind("model.", 0) == 0;
  const auto field =
      std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.path == path; });
  if (field == fields.end() && !in_model) unknown_key(path, fields, "--set " + text);
  const bool in_list = !in_model && std::holds_alternative<std::array<double, 2>*>(field->value);
  const bool is_switch = !in_model && std::holds_alternative<bool*>(field->value);
  const bool holds_text = in_model ? is_text_of_model(path)
                                   : std::holds_alternative<std::string*>(field->value) ||
                                         std::holds_alternative<Choice>(field->value);
  Json value = raw;
  const std::optional<double> number = holds_text ? std::nullopt : number_with_unit(raw, is_time(path));
  if (number) {
    value = *number == std::floor(*number) && std::abs(*number) < 1e15 ? Json(int64_t(*number)) : Json(*number);
  } else if (Json::accept(raw)) {
    const Json read = engine::parse_json(raw, "--set " + path);
    if (in_model || !holds_text || read.is_string()) value = read;
  } else if (in_list && Json::accept("[" + raw + "]")) {
    value = engine::parse_json("[" + raw + "]", "--set " + path);
  } else {
    const bool may_be_text = in_model && !models::is_number_key(path.substr(path.find('.') + 1));
    check(holds_text || may_be_text, "--set ", text, ": \"", raw, "\" is not ",
          is_switch       ? "true or false"
          : in_list       ? "a list of two numbers, such as 0.9,0.95"
          : is_time(path) ? "a time, such as 90, 10m or 1h"
                          : "a JSON value, such as 0.1, 20 or 10k");
  }
  if (in_model && std::count(path.begin(), path.end(), '.') == 1)
    models::check_model_key(path.substr(path.find('.') + 1), value, "--set " + text);
  constexpr std::ptrdiff_t kMostLevels = 64;  // as in a file
  check(std::count(path.begin(), path.end(), '.') < kMostLevels, "--set ", text, ": nested deeper than ",
        kMostLevels, " levels");
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

Json read_config_json(const std::string& path) {
  Json json = path.empty() ? Json::object() : engine::read_json(path, size_t(16) << 20);
  check(json.is_object(), path, ": expected an object, got ", json.type_name());
  return json;
}

TrainConfig load_config(const std::string& path, const std::vector<std::string>& overrides) {
  Json json = read_config_json(path);
  for (const std::string& text : overrides) apply_override(json, text);
  return parse_config(json, path.empty() ? "config" : path, overrides);
}

std::string precision_name(const TrainConfig& config) {
  return config_json(config)["precision"].get<std::string>();
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

std::vector<std::pair<std::string, std::string>> config_key_docs() {
  TrainConfig defaults;
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Field& field : config_fields(defaults)) {
    std::string doc = field.doc;
    if (const Choice* c = std::get_if<Choice>(&field.value)) doc += " [" + engine::one_of(c->words) + "]";
    const Json value = write_field(field);
    if (!value.empty() && value != "")
      doc += " (default: " + (value.is_string() ? value.get<std::string>() : engine::json_text(value)) + ")";
    rows.push_back({field.path, doc});
    if (field.path != "model") continue;
    rows.push_back({"model.preset", "sizes by name, which other keys override (`normlab presets sizes`)"});
    for (const models::ModelKey& key : models::model_keys()) rows.push_back({"model." + key.name, key.doc});
  }
  return rows;
}

std::string config_help() {
  return "Keys of the config file and of --set KEY=VALUE (there numbers may be 10k or 2M, times 90, 10m or "
         "1h):\n\n" +
         two_columns(config_key_docs());
}

}  // namespace train
