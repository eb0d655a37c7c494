// GPT-2's pre-tokenisation: text is cut into pieces, and byte-pair merges never cross from one piece into the
// next.
//
// The rule is a regular expression (Radford et al., "Language Models are Unsupervised Multitask Learners",
// 2019; the released encoder.py), tried at each position, first alternative first:
//
//   's|'t|'re|'ve|'m|'ll|'d | ?\p{L}+ | ?\p{N}+ | ?[^\s\p{L}\p{N}]+ |\s+(?!\S)|\s+
//
// (written here with spaces between the alternatives). A hand-written scanner does the same an order of
// magnitude faster than an engine; a test holds it against PCRE2. Read first: utf8.h.
#pragma once

#include <string_view>
#include <vector>

#include "data/utf8.h"

namespace data {

/// The end of the piece that begins at p, p < end. Pieces are never empty and together cover the text.
const uint8_t* piece_end(const CharClass* table, const uint8_t* p, const uint8_t* end);

/// Calls use(first, last) for each piece, in order.
template <class Use>
void for_each_piece(std::string_view text, const Use& use) {
  const CharClass* table = char_class_table();
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    const uint8_t* next = piece_end(table, p, end);
    use(p, next);
    p = next;
  }
}

/// Cuts text into parts of about `part_bytes` whose pieces are exactly the text's: parts can be worked on in
/// parallel. A cut stands between a character that is not white space and one that is: no piece holds such a
/// pair, and none before it looks further ahead than that. Text without such a place stays whole.
std::vector<std::string_view> split_at_safe_places(std::string_view text, size_t part_bytes);

}  // namespace data
