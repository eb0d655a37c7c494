// UTF-8, strictly: one character at a time, with the class that GPT-2's pre-tokenisation gives it.
//
// Text here is any bytes. A byte that is not part of a well-formed sequence (Unicode 15, table 3-7: no
// overlong forms, no surrogates, nothing above U+10FFFF) is a character of its own, of one byte and class
// `other`. So nothing is ever replaced or lost: decoding the tokens of any bytes gives those bytes back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace data {

/// \p{L}, \p{N}, \s (Unicode's White_Space), and everything else.
enum class CharClass : uint8_t { other, letter, number, space };

constexpr uint32_t invalid_char = 0xFFFFFFFF;

struct Char {
  uint32_t code;  // invalid_char for a byte outside well-formed UTF-8
  uint32_t bytes;
};

/// The character at `p`, p < end.
inline Char decode_char(const uint8_t* p, const uint8_t* end) {
  const uint32_t lead = p[0];
  if (lead < 0x80) return {lead, 1};
  const auto tail = [&](int i, uint32_t low = 0x80, uint32_t high = 0xBF) {
    return p + i < end && p[i] >= low && p[i] <= high;
  };
  if (lead >= 0xC2 && lead <= 0xDF && tail(1)) return {(lead & 0x1F) << 6 | (p[1] & 0x3Fu), 2};
  if (lead >= 0xE0 && lead <= 0xEF && tail(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF) &&
      tail(2))
    return {(lead & 0x0F) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu), 3};
  if (lead >= 0xF0 && lead <= 0xF4 && tail(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF) &&
      tail(2) && tail(3))
    return {(lead & 0x07) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu), 4};
  return {invalid_char, 1};
}

/// The character that ends just before `p`, begin < p. Agrees with decoding from the left, because a
/// well-formed sequence cannot begin inside another one.
Char decode_char_before(const uint8_t* begin, const uint8_t* p);

void append_utf8(std::string& out, uint32_t code);

/// How many bytes at the start of `text` are ASCII.
size_t ascii_prefix(std::string_view text);

/// The offset of the first byte outside well-formed UTF-8, or text.size().
size_t valid_utf8_prefix(std::string_view text);

/// Characters of UTF-8 text: the bytes that continue none.
size_t count_characters(std::string_view text);

/// Calls visit(line without its '\n') for each line; a last one without '\n' is a line too.
template <class Visit>
void each_line(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    visit(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

/// One byte a code point, built once (about 10 ms): Unicode 16.0's categories, or those of a newer utf8proc.
const CharClass* char_class_table();

inline CharClass class_of(const CharClass* table, Char c) {
  return c.code == invalid_char ? CharClass::other : table[c.code];
}

}  // namespace data
