// The alphabet in which BPE files write bytes: each of the 256 bytes as one visible character, so that a
// token is always text without white space. Printable Latin-1 bytes are themselves; the other 68, in order,
// are U+0100, U+0101, … (GPT-2's bytes_to_unicode: a space is "Ġ", a newline "Ċ").
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace data {

/// The code point that stands for a byte.
uint32_t byte_character(uint8_t byte);
/// "Ġthe" for " the".
std::string bytes_to_alphabet(std::string_view bytes);
/// " the" for "Ġthe"; nothing when a character is not in the alphabet.
std::optional<std::string> alphabet_to_bytes(std::string_view text);

}  // namespace data
