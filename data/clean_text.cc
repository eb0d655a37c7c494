// Read first: clean_text.h.
#include "data/clean_text.h"

#include "data/unicode_form.h"
#include "data/utf8.h"
#include "data/utf8_stream.h"
#include "engine/base/check.h"

namespace data {
namespace {

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

/// One line end for whatever ends a line in some system: \r\n, \r, vertical tab, form feed, the file, group
/// and record separators, U+0085, U+2028, U+2029. A unit separator is a space. No other control characters
/// but tabs.
std::string plain_lines(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto at = [&](size_t k) {
      return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0;
    };
    if (c == '\r') {
      if (at(1) != '\n') out += '\n';
    } else if (c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f)) {
      out += text[i];
    } else if (c == '\v' || c == '\f' || (c >= 0x1c && c <= 0x1e)) {
      out += '\n';
    } else if (c == 0x1f) {
      out += ' ';
    } else if (c == 0xc2 && at(1) == 0x85) {
      out += '\n', ++i;
    } else if (c == 0xc2 && at(1) >= 0x80 && at(1) <= 0x9f) {
      ++i;  // the other controls from U+0080 to U+009F
    } else if (c == 0xe2 && at(1) == 0x80 && (at(2) == 0xa8 || at(2) == 0xa9)) {
      out += '\n', i += 2;  // U+2028, U+2029
    } else if (c == 0xef && at(1) == 0xbb && at(2) == 0xbf) {
      i += 2;  // U+FEFF, the byte order mark
    } else if (c >= 0x80) {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::string checked_utf8(std::string text, InvalidUtf8 invalid, const std::string& where) {
  const size_t good = valid_utf8_prefix(text);
  if (good == text.size()) return text;
  engine::check(invalid == InvalidUtf8::replace, where, ": not valid UTF-8 at byte ", good,
                " (convert the file, or replace such bytes with --invalid-utf8 replace)");
  return well_formed(text);
}

std::string clean_text(std::string text, InvalidUtf8 invalid, const std::string& where) {
  text = to_form(plain_lines(checked_utf8(std::move(text), invalid, where)), UnicodeForm::nfc);
  std::string out;
  out.reserve(text.size());
  bool blank_before = true;  // none at the start
  each_line(text, [&](std::string_view line) {
    const size_t last = line.find_last_not_of(" \t");
    const bool blank = last == std::string_view::npos;
    if (!blank) out += line.substr(0, last + 1);
    if (!blank || !blank_before) out += '\n';
    blank_before = blank;
  });
  if (out.ends_with("\n\n")) out.pop_back();
  return out;
}

std::string unwrap_paragraphs(std::string_view text) {
  std::string out;
  each_line(text, [&](std::string_view line) {
    const bool indented = line.starts_with(' ') || line.starts_with('\t');
    const bool joins = !out.empty() && out.back() != '\n' && !is_blank(line) && !indented;
    if (joins) {
      out += ' ';
    } else if (!out.empty() && (is_blank(line) || indented) && out.back() != '\n') {
      out += '\n';
    }
    if (is_blank(line))
      out += '\n';
    else
      out += line;
  });
  if (!out.empty() && out.back() != '\n') out += '\n';
  return out;
}

}  // namespace data
