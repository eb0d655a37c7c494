// Read first: json_record.h.
#include "data/json_record.h"

#include <cstdlib>
#include <string_view>

#include "data/utf8.h"
#include "engine/base/check.h"

namespace data {
namespace {

/// The code unit of the escape \uXXXX at `at`, or -1.
int escaped_unit(std::string_view text, size_t at) {
  if (text.size() < at + 6 || text[at] != '\\' || text[at + 1] != 'u') return -1;
  const std::string digits(text.substr(at + 2, 4));
  char* end = nullptr;
  const long unit = std::strtol(digits.c_str(), &end, 16);
  return *end == 0 && digits[0] != '-' && digits[0] != '+' ? int(unit) : -1;
}

bool is_high(int unit) { return unit >= 0xD800 && unit <= 0xDBFF; }
bool is_low(int unit) { return unit >= 0xDC00 && unit <= 0xDFFF; }

/// The text with null for words that JSON does not have, and with halves of pairs replaced.
std::string plain_json(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool in_string = false;
  for (size_t at = 0; at < text.size();) {
    if (!in_string) {
      size_t word = 0;
      for (const std::string_view name : {"NaN", "Infinity", "-Infinity"})
        if (text.substr(at).starts_with(name)) word = name.size();
      in_string = text[at] == '"';
      out += word > 0 ? "null" : text.substr(at, 1);
      at += word > 0 ? word : 1;
      continue;
    }
    size_t bytes = 1;
    if (text[at] == '\\') {
      const int unit = escaped_unit(text, at);
      bytes = unit >= 0 ? 6 : std::min<size_t>(2, text.size() - at);
      const bool pair = is_high(unit) && is_low(escaped_unit(text, at + 6));
      if (pair) bytes = 12;
      if (!pair && (is_high(unit) || is_low(unit))) {
        out += "\\ufffd";
        at += bytes;
        continue;
      }
    }
    in_string = text[at] != '"';
    out += text.substr(at, bytes);
    at += bytes;
  }
  return out;
}

bool may_need_it(std::string_view text) {
  for (const char* mark : {"NaN", "Infinity", "\\ud", "\\uD"})
    if (text.find(mark) != text.npos) return true;
  return false;
}

}  // namespace

engine::Json parse_record(std::string text, const std::string& where) {
  engine::check(valid_utf8_prefix(text) == text.size(), where, ": not valid UTF-8");
  if (may_need_it(text)) text = plain_json(text);
  return engine::parse_json(text, where);
}

}  // namespace data
