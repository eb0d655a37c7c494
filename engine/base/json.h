// JSON with errors for people: every reader names the file, the key and what was expected.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/base/ordered_object.h"

namespace engine {

using Json = nlohmann::basic_json<OrderedObject>;  // keys keep their order, so that files we write diff well

/// Parses text; `what` names it in errors ("config.json"). Refuses nesting deeper than 64, duplicate keys,
/// and arrays of more than `longest_array` items (where none is long, a hostile text costs no memory).
Json parse_json(const std::string& text, const std::string& what, size_t longest_array = SIZE_MAX);
/// The same with keys in sorted order.
using SortedJson = nlohmann::json;
SortedJson parse_sorted_json(const std::string& text, const std::string& what);
/// Reads and parses a file of at most `max_bytes`.
Json read_json(const std::string& path, size_t max_bytes = size_t(256) << 20);

/// JSON as text: on one line, or with `indent` blanks a level. Bytes that are not UTF-8 (a file's name may
/// have such) become U+FFFD: JSON cannot hold them.
std::string json_text(const Json& value, int indent = -1);
std::string json_text(const SortedJson& value, int indent = -1);
/// The same in ASCII alone: other characters are escaped.
std::string ascii_json_text(const Json& value);
/// The same for a file that will be read back and must then say the same: such bytes are an Error.
std::string exact_json_text(const Json& value, const std::string& what, int indent = -1);

/// Fails on a key of `object` that is not in `known`, naming the nearest valid key. `what` prefixes the
/// message.
void check_keys(const Json& object, const std::vector<std::string>& known, const std::string& what);

/// Typed readers: an error unless the value has the type and range. `what` names the value ("model.width").
int64_t json_int(const Json& value, const std::string& what, int64_t low, int64_t high);
double json_number(const Json& value, const std::string& what);  // finite
bool json_bool(const Json& value, const std::string& what);
std::string json_string(const Json& value, const std::string& what);

}  // namespace engine
