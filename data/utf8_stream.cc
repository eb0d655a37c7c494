// Read first: utf8_stream.h.
#include "data/utf8_stream.h"

#include "data/utf8.h"

namespace data {
namespace {

constexpr uint32_t replacement = 0xFFFD;

// Bytes of the character that begins with `lead`; 1 for a byte that begins none.
size_t announced(uint8_t lead) {
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 1;
}

// Might `rest`, shorter than its first byte announces, become a character? Only continuation bytes are looked
// at; an overlong form is found when it is complete.
bool incomplete(std::string_view rest) {
  if (rest.size() >= announced(uint8_t(rest[0]))) return false;
  for (const char c : rest.substr(1))
    if ((uint8_t(c) & 0xC0) != 0x80) return false;
  return true;
}

}  // namespace

std::string Utf8Stream::take(bool at_end) {
  std::string out;
  const auto* begin = reinterpret_cast<const uint8_t*>(waiting_.data());
  size_t at = 0;
  while (at < waiting_.size()) {
    const Char c = decode_char(begin + at, begin + waiting_.size());
    if (c.code != invalid_char) {
      out.append(waiting_, at, c.bytes);
    } else if (!at_end && incomplete(std::string_view(waiting_).substr(at))) {
      break;
    } else {
      append_utf8(out, replacement);
    }
    at += c.bytes;
  }
  waiting_.erase(0, at);
  return out;
}

std::string Utf8Stream::push(std::string_view bytes) {
  waiting_ += bytes;
  return take(false);
}

std::string Utf8Stream::finish() { return take(true); }

std::string well_formed(std::string_view bytes) {
  Utf8Stream stream;
  const std::string text = stream.push(bytes);
  return text + stream.finish();
}

}  // namespace data
