// Read first: utf8.h.
#include "data/utf8.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "data/newer_characters.h"

namespace data {
namespace {

constexpr uint32_t code_points = 0x110000;

bool assigned(uint32_t code) { return utf8proc_category(utf8proc_int32_t(code)) != UTF8PROC_CATEGORY_CN; }

CharClass classify(uint32_t code) {
  switch (utf8proc_category(utf8proc_int32_t(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return CharClass::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return CharClass::number;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return CharClass::space;
    default: break;
  }
  // White_Space is the Z categories and these controls.
  return (code >= 0x09 && code <= 0x0D) || code == 0x85 ? CharClass::space : CharClass::other;
}

}  // namespace

const CharClass* char_class_table() {
  static const std::vector<CharClass> table = [] {
    std::vector<CharClass> t(code_points);
    for (uint32_t code = 0; code < code_points; ++code) t[code] = classify(code);
    for (const NewerCharacters& range : newer_characters()) {
      const CharClass kind = range.category[0] == 'L'   ? CharClass::letter
                             : range.category[0] == 'N' ? CharClass::number
                                                        : CharClass::other;
      for (uint32_t code = range.first; code <= range.last; ++code)
        if (!assigned(code)) t[code] = kind;
    }
    return t;
  }();
  return table.data();
}

Char decode_char_before(const uint8_t* begin, const uint8_t* p) {
  const size_t longest = std::min<size_t>(4, size_t(p - begin));
  for (size_t n = 1; n <= longest; ++n) {
    const Char c = decode_char(p - n, p);
    if (c.code != invalid_char && c.bytes == n) return c;
  }
  return {invalid_char, 1};
}

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += char(code);
  } else if (code < 0x800) {
    out += char(0xC0 | code >> 6);
    out += char(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += char(0xE0 | code >> 12);
    out += char(0x80 | (code >> 6 & 0x3F));
    out += char(0x80 | (code & 0x3F));
  } else {
    out += char(0xF0 | code >> 18);
    out += char(0x80 | (code >> 12 & 0x3F));
    out += char(0x80 | (code >> 6 & 0x3F));
    out += char(0x80 | (code & 0x3F));
  }
}

size_t ascii_prefix(std::string_view text) {
  size_t at = 0;
  for (uint64_t word; at + 8 <= text.size(); at += 8) {
    std::memcpy(&word, text.data() + at, 8);
    if (word & 0x8080808080808080u) break;
  }
  while (at < text.size() && uint8_t(text[at]) < 0x80) ++at;
  return at;
}

size_t valid_utf8_prefix(std::string_view text) {
  const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
  const auto* end = begin + text.size();
  for (size_t at = 0;;) {
    at += ascii_prefix(text.substr(at));
    if (at == text.size()) return at;
    const Char c = decode_char(begin + at, end);
    if (c.code == invalid_char) return at;
    at += c.bytes;
  }
}

size_t count_characters(std::string_view text) {
  return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (uint8_t(c) & 0xC0) != 0x80; }));
}

}  // namespace data
