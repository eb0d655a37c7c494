// Read first: pretokenize.h.
#include "data/pretokenize.h"

#include <algorithm>

namespace data {
namespace {

// The end of a contraction that begins at the apostrophe at p, or p itself.
const uint8_t* contraction_end(const uint8_t* p, const uint8_t* end) {
  if (end - p < 2) return p;
  const uint8_t a = p[1];
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return p + 2;
  if (end - p < 3) return p;
  const uint8_t b = p[2];
  const bool two = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
  return two ? p + 3 : p;
}

const uint8_t* run_end(const CharClass* table, const uint8_t* p, const uint8_t* end, CharClass wanted) {
  while (p < end) {
    if (*p < 0x80) {
      if (table[*p] != wanted) return p;
      ++p;
    } else {
      const Char c = decode_char(p, end);
      if (class_of(table, c) != wanted) return p;
      p += c.bytes;
    }
  }
  return p;
}

// \s+(?!\S)|\s+ : all of the white space when the text ends with it, else all but its last character, which
// may belong to the word that follows; but at least one character.
const uint8_t* space_end(const CharClass* table, const uint8_t* p, const uint8_t* end) {
  const uint8_t* first = p + decode_char(p, end).bytes;
  const uint8_t *last = p, *q = first;
  while (q < end) {
    const Char c = decode_char(q, end);
    if (class_of(table, c) != CharClass::space) return last > p ? last : first;
    last = q;
    q += c.bytes;
  }
  return end;
}

}  // namespace

const uint8_t* piece_end(const CharClass* table, const uint8_t* p, const uint8_t* end) {
  if (*p == '\'') {
    const uint8_t* q = contraction_end(p, end);
    if (q > p) return q;
  }
  const uint8_t* word = p + (*p == ' ');
  if (word < end) {
    const Char c = decode_char(word, end);
    const CharClass kind = class_of(table, c);
    if (kind != CharClass::space) return run_end(table, word + c.bytes, end, kind);
  }
  return space_end(table, p, end);
}

std::vector<std::string_view> split_at_safe_places(std::string_view text, size_t part_bytes) {
  const CharClass* table = char_class_table();
  const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
  const auto* end = begin + text.size();
  const auto safe = [&](const uint8_t* p) {
    return class_of(table, decode_char(p, end)) == CharClass::space &&
           class_of(table, decode_char_before(begin, p)) != CharClass::space;
  };
  std::vector<std::string_view> parts;
  const uint8_t* from = begin;
  while (size_t(end - from) > part_bytes) {
    const uint8_t* cut = from + std::max<size_t>(1, part_bytes);
    while (cut < end && !safe(cut)) ++cut;
    parts.push_back(text.substr(size_t(from - begin), size_t(cut - from)));
    from = cut;
  }
  if (from < end) parts.push_back(text.substr(size_t(from - begin)));
  return parts;
}

}  // namespace data
