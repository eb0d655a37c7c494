// Read first: json_fields.h.
#include "data/pipeline/json_fields.h"

#include <algorithm>

#include "data/utf8.h"
#include "engine/base/check.h"
#include "engine/base/text.h"

namespace data {

using engine::check;

namespace {

std::string shown(const engine::SortedJson& value) { return engine::json_text(value).substr(0, 64); }

}  // namespace

JsonPart::JsonPart(const engine::SortedJson& json, std::string what) : json_(json), what_(std::move(what)) {
  check(json.is_object(), what_, ": expected an object, got ", shown(json));
}

bool JsonPart::has(const std::string& key) const { return json_.contains(key) && !json_[key].is_null(); }

std::string JsonPart::path(const std::string& key) const {
  return what_ + (what_.find(": ") == what_.npos ? ": " : ".") +
         key;  // behind a file's name, or behind a part
}

JsonPart JsonPart::part(const std::string& key) const {
  check(has(key), what_, ": \"", key, "\" is missing");
  return {json_[key], path(key)};
}

std::vector<JsonPart> JsonPart::parts(const std::string& key) const {
  check(has(key) && json_[key].is_array(), what_, ": \"", key, "\" must be a list");
  std::vector<JsonPart> out;
  for (const auto& value : json_[key])
    out.emplace_back(value, path(key) + "[" + std::to_string(out.size()) + "]");
  return out;
}

std::string JsonPart::text(const std::string& key) const {
  check(has(key) && json_[key].is_string(), what_, ": \"", key, "\" must be a string",
        has(key) ? ", got " + shown(json_[key]) : "");
  return json_[key];
}

std::string JsonPart::text_or(const std::string& key, const std::string& other) const {
  return has(key) ? text(key) : other;
}

bool JsonPart::flag_or(const std::string& key, bool other) const {
  if (!has(key)) return other;
  check(json_[key].is_boolean(), what_, ": \"", key, "\" must be true or false, got ", shown(json_[key]));
  return json_[key];
}

int64_t JsonPart::number_or(const std::string& key, int64_t other, int64_t low, int64_t high) const {
  if (!has(key)) return other;
  const bool whole = json_[key].is_number_integer();
  const bool inside = whole && json_[key] >= low && json_[key] <= high;
  check(inside, what_, ": \"", key, "\" must be an integer from ", low, " to ", high, ", got ",
        shown(json_[key]));
  return json_[key];
}

std::string JsonPart::character_or(const std::string& key, const std::string& other) const {
  if (!has(key)) return other;
  const std::string value = text(key);
  const auto* p = reinterpret_cast<const uint8_t*>(value.data());
  check(!value.empty() && decode_char(p, p + value.size()).bytes == value.size(), what_, ": \"", key,
        "\" must be one character, got ", shown(json_[key]));
  return value;
}

void JsonPart::only(const std::vector<std::string>& keys) const {
  for (const auto& [key, value] : json_.items()) {
    if (key == "type" || std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    engine::fail(what_, ": the key \"", key.substr(0, 64), "\" is not known here",
                 keys.empty() ? "" : "; known: ", keys.empty() ? "" : engine::one_of(keys));
  }
}

void fail_unknown_type(const JsonPart& part, const std::vector<std::string>& known) {
  engine::fail(part.what(), ": \"type\" is \"", part.type().substr(0, 64), "\"; this reader knows ",
               engine::one_of(known));
}

}  // namespace data
