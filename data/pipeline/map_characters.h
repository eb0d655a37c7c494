// A pass over the characters of a text that writes another text. Read first: data/utf8.h.
#pragma once

#include <string>

#include "data/utf8.h"

namespace data {

/// Rewrites text: write(code, out) appends what stands for a character. A byte that is no character is
/// copied. True when nothing was written for the characters in front, up to the first one that is kept.
template <class Write>
bool map_characters(std::string& text, const Write& write) {
  std::string out;
  out.reserve(text.size());
  bool dropped = false;
  const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
  const auto* end = begin + text.size();
  for (const uint8_t* p = begin; p < end;) {
    const Char c = decode_char(p, end);
    if (c.code == invalid_char)
      out += char(*p);
    else
      write(c.code, out);
    dropped = dropped || out.empty();
    p += c.bytes;
  }
  text = std::move(out);
  return dropped;
}

}  // namespace data
