// Read first: json.h.
#include "engine/base/json.h"

#include <cmath>
#include <set>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

namespace engine {

namespace {

template <class AnyJson>
AnyJson parse(const std::string& text, const std::string& what) {
  std::vector<std::set<std::string>> open_objects;  // keys seen so far, one set an open object
  const auto guard = [&](int depth, typename AnyJson::parse_event_t event, AnyJson& value) {
    check(depth <= 64, what, ": nested deeper than 64 levels");
    if (event == AnyJson::parse_event_t::object_start) open_objects.emplace_back();
    if (event == AnyJson::parse_event_t::object_end) open_objects.pop_back();
    if (event == AnyJson::parse_event_t::key) {
      const auto& key = value.template get_ref<const std::string&>();
      check(open_objects.back().insert(key).second, what, ": key \"", key, "\" appears twice");
    }
    return true;
  };
  try {
    return AnyJson::parse(text, guard);
  } catch (const typename AnyJson::exception& e) {
    fail(what, ": not valid JSON (", e.what(), ")");
  }
}

}  // namespace

Json parse_json(const std::string& text, const std::string& what) { return parse<Json>(text, what); }
SortedJson parse_sorted_json(const std::string& text, const std::string& what) {
  return parse<SortedJson>(text, what);
}

Json read_json(const std::string& path, size_t max_bytes) {
  return parse_json(read_file(path, max_bytes), path);
}

std::string json_text(const Json& value, int indent) {
  return value.dump(indent, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}
std::string json_text(const SortedJson& value, int indent) {
  return value.dump(indent, ' ', /*ensure_ascii=*/false, SortedJson::error_handler_t::replace);
}

std::string ascii_json_text(const Json& value) {
  return value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
}

std::string exact_json_text(const Json& value, const std::string& what, int indent) {
  try {
    return value.dump(indent);
  } catch (const Json::type_error&) {
    fail(what, ": a text in it is not UTF-8, which JSON cannot hold: ", json_text(value).substr(0, 400));
  }
}

void check_keys(const Json& object, const std::vector<std::string>& known, const std::string& what) {
  check(object.is_object(), what, ": expected a JSON object, got ", object.type_name());
  for (const auto& [key, value] : object.items()) {
    bool found = false;
    for (const auto& k : known) found = found || k == key;
    check(found, what, ": unknown key \"", key, "\" (nearest valid key: \"", nearest_word(key, known), "\")");
  }
}

int64_t json_int(const Json& value, const std::string& what, int64_t low, int64_t high) {
  const bool whole = value.is_number_integer() ||
                     (value.is_number_float() && std::floor(value.get<double>()) == value.get<double>() &&
                      std::fabs(value.get<double>()) < 9e15);
  check(whole, what, ": expected an integer, got ", json_text(value).substr(0, 64));
  check(!value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t(INT64_MAX), what, ": ",
        json_text(value), " is out of range");
  const int64_t n = value.get<int64_t>();
  check(n >= low && n <= high, what, ": ", n, " is outside [", low, ", ", high, "]");
  return n;
}

double json_number(const Json& value, const std::string& what) {
  check(value.is_number(), what, ": expected a number, got ", json_text(value).substr(0, 64));
  const double x = value.get<double>();
  check(std::isfinite(x), what, ": expected a finite number");
  return x;
}

bool json_bool(const Json& value, const std::string& what) {
  check(value.is_boolean(), what, ": expected true or false, got ", json_text(value).substr(0, 64));
  return value.get<bool>();
}

std::string json_string(const Json& value, const std::string& what) {
  check(value.is_string(), what, ": expected a string, got ", json_text(value).substr(0, 64));
  return value.get<std::string>();
}

}  // namespace engine
