// Unicode's normalisation forms (UAX 15), in time n log n whatever the text: utf8proc orders the combining
// marks behind a letter by exchanging neighbours, which takes minutes for some 100,000 of them in turn; here
// they are sorted. Bytes outside well-formed UTF-8 stay as they are, and nothing is joined across them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace data {

enum class UnicodeForm { nfc, nfd, nfkc, nfkd };

/// Whether a character is to be left alone: no decomposition, no mark, joined with nothing. For programs
/// whose Unicode is older than utf8proc's.
using LeftAlone = bool (*)(uint32_t code);

std::string to_form(std::string_view text, UnicodeForm form, LeftAlone left_alone = nullptr);

}  // namespace data
