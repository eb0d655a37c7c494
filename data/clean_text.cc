// Read first: clean_text.h.
#include "data/clean_text.h"

#include <utf8proc.h>

#include <cstdlib>
#include <cstring>

#include "engine/base/check.h"

namespace data {
namespace {

bool is_ascii(std::string_view text) {
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    if (word & 0x8080808080808080u) return false;
  }
  for (; i < text.size(); ++i)
    if (static_cast<unsigned char>(text[i]) >= 0x80) return false;
  return true;
}

const utf8proc_uint8_t* bytes_of(std::string_view text) {
  return reinterpret_cast<const utf8proc_uint8_t*>(text.data());
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

/// Calls visit(line without '\n') for each line.
template <class Visit>
void each_line(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    visit(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

/// One line end for \r\n, \r and the Unicode line and paragraph separators; no other control characters but
/// tabs.
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
    } else if (c == 0xc2 && at(1) >= 0x80 && at(1) <= 0x9f) {
      ++i;  // U+0080 to U+009F
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

size_t valid_utf8_bytes(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t ascii = std::min<size_t>(256, text.size() - at);
    if (is_ascii(text.substr(at, ascii))) {
      at += ascii;
      continue;
    }
    for (const size_t stop = at + ascii; at < stop;) {
      utf8proc_int32_t code;
      const auto n = utf8proc_iterate(bytes_of(text) + at, utf8proc_ssize_t(text.size() - at), &code);
      if (n < 0) return at;
      at += size_t(n);
    }
  }
  return at;
}

std::string checked_utf8(std::string text, InvalidUtf8 invalid, const std::string& where) {
  size_t good = valid_utf8_bytes(text);
  if (good == text.size()) return text;
  engine::check(invalid == InvalidUtf8::replace, where, ": not valid UTF-8 at byte ", good,
                " (convert the file, or replace such bytes with --invalid-utf8 replace)");
  std::string out;
  std::string_view rest = text;
  while (good < rest.size()) {
    out += rest.substr(0, good);
    out += "\xef\xbf\xbd";
    rest.remove_prefix(good + 1);
    good = valid_utf8_bytes(rest);
  }
  return out.append(rest);
}

std::string to_nfc(std::string text) {
  if (is_ascii(text)) return text;
  utf8proc_uint8_t* made = nullptr;
  const auto n = utf8proc_map(bytes_of(text), utf8proc_ssize_t(text.size()), &made,
                              utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  engine::check(n >= 0, "NFC: ", utf8proc_errmsg(n));
  std::string out(reinterpret_cast<const char*>(made), size_t(n));
  std::free(made);
  return out;
}

std::string clean_text(std::string text, InvalidUtf8 invalid, const std::string& where) {
  text = to_nfc(plain_lines(checked_utf8(std::move(text), invalid, where)));
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
