// All places where one of many strings stands in a text: of those that begin at a place the longest, leftmost
// first, none inside another. One pass over the text, whatever the strings are (Aho and Corasick 1975).
//
// The automaton reads the text from its end, with the strings turned around: at each place the longest string
// that it has just finished is then the longest that begins there, which is what is looked for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/byte_trie.h"

namespace data {

class TokenFinder {
 public:
  struct Match {
    size_t begin, end;
    uint32_t which;  // index of the string
  };

  TokenFinder() = default;
  /// None of the strings is empty. Of equal ones the last counts.
  explicit TokenFinder(const std::vector<std::string>& strings);

  bool empty() const { return lengths_.empty(); }
  /// From left to right.
  std::vector<Match> find_all(std::string_view text) const;

 private:
  uint32_t step(uint32_t node, uint8_t byte) const;

  ByteTrie trie_;                   // the strings from their last byte to their first
  std::vector<uint32_t> fallback_;  // by node: the longest shorter beginning that what was read still fits
  std::vector<uint32_t> longest_;   // by node: the longest string that ends here, or none
  std::vector<size_t> lengths_;     // by string
};

}  // namespace data
