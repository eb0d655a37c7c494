// Read first: task_records.h.
#include "data/task_records.h"

#include <algorithm>
#include <charconv>

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

std::vector<Record> csv_records(const std::string& text, const std::string& path) {
  std::vector<std::string> header, fields;
  size_t at = 0;
  read_csv_record(text, at, header, path);
  for (auto name = header.begin(); name != header.end(); ++name)
    check(name->empty() || std::find(header.begin(), name, *name) == name, path, ": column \"", *name,
          "\" appears twice");
  std::vector<Record> out;
  while (read_csv_record(text, at, fields, path)) {
    if (fields.size() == 1 && fields[0].empty()) continue;  // a blank line
    const std::string where = path + ": record " + std::to_string(out.size() + 1);
    check(fields.size() == header.size(), where, " has ", fields.size(), " fields, the first line ",
          header.size());
    Json object = Json::object();
    for (size_t i = 0; i < header.size(); ++i) object[header[i]] = fields[i];
    out.push_back({std::move(object), where});
  }
  return out;
}

std::vector<Record> array_records(std::string text, const std::string& path) {
  Json array = parse_record(std::move(text), path);
  std::vector<Record> out;
  for (Json& object : array)
    out.push_back({std::move(object), path + ": item " + std::to_string(out.size() + 1)});
  return out;
}

std::vector<Record> line_records(const std::string& text, const std::string& path) {
  std::vector<Record> out;
  size_t number = 0;
  each_line(text, [&](std::string_view line) {
    const std::string where = path + ":" + std::to_string(++number);
    if (line.find_first_not_of(" \t\r") != line.npos)
      out.push_back({parse_record(std::string(line), where), where});
  });
  return out;
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

std::vector<Record> read_records(const std::string& path) {
  std::string text = read_all(*open_text(path), path, kMostBytes);
  if (text.starts_with(kByteOrderMark)) text.erase(0, 3);
  const size_t begin = text.find_first_not_of(" \t\r\n");
  check(begin != text.npos, path, ": no items in it");
  check(valid_utf8_prefix(text) == text.size(), path, ": not valid UTF-8 at byte ", valid_utf8_prefix(text));
  std::vector<Record> out = text[begin] == '['   ? array_records(std::move(text), path)
                            : text[begin] == '{' ? line_records(text, path)
                                                 : csv_records(text, path);
  check(!out.empty(), path, ": no items in it");
  return out;
}

}  // namespace data
