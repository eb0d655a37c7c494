// Sets of characters as Hugging Face's tokenizers have them. Its crates hold tables of Unicode 8 and 9, so
// that punctuation, marks and decompositions that are younger are not known there; ids must not differ from
// its own. Read first: data/utf8.h.
#pragma once

#include <cstdint>

namespace data {

enum class CharacterSet : uint8_t {
  punctuation = 1,      // ASCII punctuation and the categories P*
  mark = 2,             // M*: what StripAccents removes
  nonspacing_mark = 4,  // Mn: what BertNormalizer removes
  control = 8,          // Cc, Cf, Co, but \t \n \r: what BertNormalizer cleans away
  undecomposed = 16,    // no mark and without a decomposition in Unicode 9
};
bool is_in(CharacterSet set, uint32_t code);

bool is_white_space(uint32_t code);    // White_Space
bool is_number(uint32_t code);         // N*
bool is_word(uint32_t code);           // \w: Alphabetic, M*, Nd, Pc, joiners
bool is_cjk_ideograph(uint32_t code);  // BERT's "Chinese characters"

/// Lower case of one character; U+0130 alone has a second one, which stands in `second` (else 0).
uint32_t to_lower(uint32_t code, uint32_t& second);

}  // namespace data
