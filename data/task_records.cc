// Read first: task_records.h.
#include "data/task_records.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "data/byte_source.h"
#include "data/csv.h"
#include "data/json_record.h"
#include "data/utf8.h"
#include "engine/base/check.h"

namespace data {
namespace {

using engine::check;
using engine::Json;

constexpr size_t kMostBytes = size_t(1) << 30;  // of one file, which is read whole
constexpr char kByteOrderMark[] = "\xef\xbb\xbf";

using Visit = std::function<void(const Record&)>;

// Each of these gives the number of records.

int64_t csv_records(const std::string& text, const std::string& path, const Visit& visit) {
  std::vector<std::string> header, fields;
  size_t at = 0;
  read_csv_record(text, at, header, path);
  for (auto name = header.begin(); name != header.end(); ++name)
    check(name->empty() || std::find(header.begin(), name, *name) == name, path, ": column \"", *name,
          "\" appears twice");
  int64_t count = 0;
  while (read_csv_record(text, at, fields, path)) {
    if (fields.size() == 1 && fields[0].empty()) continue;  // a blank line
    const std::string where = path + ": record " + std::to_string(++count);
    check(fields.size() == header.size(), where, " has ", fields.size(), " fields, the first line ",
          header.size());
    Json object = Json::object();
    for (size_t i = 0; i < header.size(); ++i) object[header[i]] = fields[i];
    visit({std::move(object), where});
  }
  return count;
}

// Where a JSON array's item that begins at `at` is over: at a comma or a bracket that no string and no other
// bracket encloses, or at the text's end.
size_t item_end(std::string_view text, size_t at) {
  int64_t depth = 0;
  for (bool in_string = false; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') in_string = !in_string;
    if (in_string) {
      at += c == '\\';
      continue;
    }
    if (depth == 0 && (c == ',' || c == ']' || c == '}')) break;
    depth += (c == '[' || c == '{') - (c == ']' || c == '}');
  }
  return std::min(at, text.size());
}

int64_t array_records(std::string_view text, const std::string& path, const Visit& visit) {
  constexpr char kSpace[] = " \t\r\n";
  const auto skip = [&](size_t at) { return std::min(text.find_first_not_of(kSpace, at), text.size()); };
  size_t at = skip(text.find('[') + 1);
  int64_t count = 0;
  for (bool more = at < text.size() && text[at] != ']'; more;) {
    const size_t end = item_end(text, at);
    const std::string where = path + ": item " + std::to_string(++count);
    visit({parse_record(std::string(text.substr(at, end - at)), where), where});
    at = end;
    more = at < text.size() && text[at] == ',';
    if (more) ++at;
  }
  check(at < text.size() && text[at] == ']', path, ": not valid JSON (the list of ", count,
        " items does not end in ])");
  check(skip(at + 1) == text.size(), path, ": not valid JSON (something follows the list of ", count,
        " items)");
  return count;
}

int64_t line_records(const std::string& text, const std::string& path, const Visit& visit) {
  int64_t count = 0;
  size_t number = 0;
  each_line(text, [&](std::string_view line) {
    const std::string where = path + ":" + std::to_string(++number);
    if (line.find_first_not_of(" \t\r") == line.npos) return;
    ++count;
    visit({parse_record(std::string(line), where), where});
  });
  return count;
}

bool is_no_answer(const Json& value) {
  return value.is_null() || value == "" || value == -1 || value == -1.0 || value == "-1";
}

}  // namespace

const Json* Record::find(Names names) const {
  if (!object.is_object()) return nullptr;
  for (const char* name : names)
    if (const auto found = object.find(name); found != object.end()) return &*found;
  return nullptr;
}

const Json& Record::at(Names names) const {
  const Json* found = find(names);
  check(found != nullptr, where, ": no key \"", *names.begin(), "\"");
  return *found;
}

std::string Record::text(Names names) const {
  return engine::json_string(at(names), where + ": " + *names.begin());
}

int Record::answer(Names names, int low, int high) const {
  const Json* found = find(names);
  if (found == nullptr || is_no_answer(*found)) return -1;
  const std::string what = where + ": " + *names.begin();
  if (!found->is_string()) return int(engine::json_int(*found, what, low, high));
  const auto& digits = found->get_ref<const std::string&>();
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  check(error == std::errc() && end == digits.data() + digits.size() && value >= low && value <= high, what,
        ": expected a number from ", low, " to ", high, ", got \"", digits.substr(0, 40), "\"");
  return value;
}

std::string Record::id(Names names, size_t index) const {
  const Json* found = find(names);
  if (found == nullptr || found->is_null()) return std::to_string(index);
  return found->is_string() ? found->get<std::string>() : engine::json_text(*found);
}

void for_each_record(const std::string& path, const Visit& visit) {
  std::string text = read_all(*open_text(path), path, kMostBytes);
  if (text.starts_with(kByteOrderMark)) text.erase(0, 3);
  const size_t begin = text.find_first_not_of(" \t\r\n");
  check(begin != text.npos, path, ": no items in it");
  check(valid_utf8_prefix(text) == text.size(), path, ": not valid UTF-8 at byte ", valid_utf8_prefix(text));
  const int64_t count = text[begin] == '['   ? array_records(text, path, visit)
                        : text[begin] == '{' ? line_records(text, path, visit)
                                             : csv_records(text, path, visit);
  check(count > 0, path, ": no items in it");
}

}  // namespace data
