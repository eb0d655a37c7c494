// Read first: json.h.
#include "engine/base/json.h"

#include <cmath>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/text.h"

namespace engine {

namespace {

/// Makes a value of what nlohmann's reader finds. Its own maker knows neither a limit of the depth nor
/// duplicate keys, and with a callback for these it walks a container again at the end of everything inside
/// it.
template <class AnyJson>
class Builder : public nlohmann::json_sax<AnyJson> {
 public:
  Builder(const std::string& what, size_t longest_array) : what_(what), longest_array_(longest_array) {}
  AnyJson take() { return std::move(root_); }

  bool null() override { return put(nullptr), true; }
  bool boolean(bool value) override { return put(value), true; }
  bool number_integer(typename AnyJson::number_integer_t value) override { return put(value), true; }
  bool number_unsigned(typename AnyJson::number_unsigned_t value) override { return put(value), true; }
  bool number_float(typename AnyJson::number_float_t value, const std::string&) override {
    return put(value), true;
  }
  bool string(std::string& value) override { return put(std::move(value)), true; }
  bool binary(typename AnyJson::binary_t&) override { return false; }  // JSON has none
  bool start_object(size_t) override { return open(AnyJson::object()); }
  bool start_array(size_t) override { return open(AnyJson::array()); }
  bool end_object() override { return open_.pop_back(), true; }
  bool end_array() override { return open_.pop_back(), true; }
  bool key(std::string& name) override {
    auto& object = open_.back()->template get_ref<typename AnyJson::object_t&>();
    const auto [entry, fresh] = object.emplace(name, AnyJson());
    check(fresh, what_, ": key \"", name, "\" appears twice");
    slot_ = &entry->second;
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& e) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ..." without what is the library's
    // own.
    std::string why = e.what();
    why.erase(0, why.find("] ") == why.npos ? 0 : why.find("] ") + 2);
    constexpr std::string_view kPlace = "parse error at ";
    if (why.starts_with(kPlace)) why.erase(0, kPlace.size());
    fail(what_, ": not valid JSON (", why, ")");
  }

 private:
  AnyJson* put(AnyJson value) {
    if (open_.empty()) return &(root_ = std::move(value));
    if (open_.back()->is_array()) {
      auto& array = open_.back()->template get_ref<typename AnyJson::array_t&>();
      check(array.size() < longest_array_, what_, ": an array of more than ", longest_array_, " items");
      return &array.emplace_back(std::move(value));
    }
    return &(*slot_ = std::move(value));
  }
  bool open(AnyJson empty) {
    check(open_.size() < kMostLevels, what_, ": nested deeper than ", kMostLevels, " levels");
    open_.push_back(put(std::move(empty)));
    return true;
  }

  static constexpr size_t kMostLevels = 64;
  const std::string& what_;
  const size_t longest_array_;
  AnyJson root_;
  std::vector<AnyJson*> open_;  // the containers around the next value
  AnyJson* slot_ = nullptr;     // where the value of the newest key goes
};

template <class AnyJson>
AnyJson parse(const std::string& text, const std::string& what, size_t longest_array = SIZE_MAX) {
  Builder<AnyJson> builder(what, longest_array);
  AnyJson::sax_parse(text, &builder);
  return builder.take();
}

}  // namespace

Json parse_json(const std::string& text, const std::string& what, size_t longest_array) {
  return parse<Json>(text, what, longest_array);
}
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
    check(found, what, ": unknown key \"", key, "\"", near_hint(key, known, " (nearest valid key: \""));
  }
}

int64_t json_int(const Json& value, const std::string& what, int64_t low, int64_t high) {
  const bool whole = value.is_number_integer() ||
                     (value.is_number_float() && std::floor(value.get<double>()) == value.get<double>() &&
                      std::fabs(value.get<double>()) < 9e15);
  if (!whole) {
    const bool too_large = value.is_number_float() && std::floor(value.get<double>()) == value.get<double>();
    fail(what, ": expected an integer", too_large ? join_text(" in [", low, ", ", high, "]") : "", ", got ",
         json_text(value).substr(0, 64));
  }
  if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(INT64_MAX))
    fail(what, ": ", value.get<uint64_t>(), " is out of range");
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
