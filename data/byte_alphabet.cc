// Read first: byte_alphabet.h.
#include "data/byte_alphabet.h"

#include <array>

#include "data/utf8.h"

namespace data {
namespace {

constexpr bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<uint16_t, 256> character{};
  std::array<int16_t, 0x144> byte{};  // -1: not in the alphabet

  constexpr Alphabet() {
    byte.fill(-1);
    uint16_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      character[b] = stands_for_itself(b) ? uint16_t(b) : next++;
      byte[character[b]] = int16_t(b);
    }
  }
};
constexpr Alphabet alphabet;

}  // namespace

uint32_t byte_character(uint8_t byte) { return alphabet.character[byte]; }

std::string bytes_to_alphabet(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) append_utf8(text, byte_character(uint8_t(byte)));
  return text;
}

std::optional<std::string> alphabet_to_bytes(std::string_view text) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  const auto* end = p + text.size();
  std::string bytes;
  while (p < end) {
    const Char c = decode_char(p, end);
    if (c.code >= alphabet.byte.size() || alphabet.byte[c.code] < 0) return std::nullopt;
    bytes += char(alphabet.byte[c.code]);
    p += c.bytes;
  }
  return bytes;
}

}  // namespace data
