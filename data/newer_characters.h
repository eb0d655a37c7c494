// Characters that Unicode 15.0 to 16.0 added, with their general categories, for libraries that do not know
// them yet: Debian's PCRE2 stands at Unicode 14, its utf8proc at 15.0, tiktoken and Hugging Face's tokenizers
// at 16.0.
#pragma once

#include <cstdint>
#include <span>

namespace data {

struct NewerCharacters {
  uint32_t first, last;
  const char* category;  // "Lu", "Nd", …
};
std::span<const NewerCharacters> newer_characters();

}  // namespace data
