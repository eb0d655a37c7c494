// Read first: token_finder.h.
#include "data/token_finder.h"

#include <algorithm>

namespace data {

TokenFinder::TokenFinder(const std::vector<std::string>& strings) {
  for (uint32_t i = 0; i < strings.size(); ++i) {
    trie_.insert(std::string(strings[i].rbegin(), strings[i].rend()), i);
    lengths_.push_back(strings[i].size());
  }
  fallback_.assign(trie_.nodes(), ByteTrie::root);
  longest_.assign(trie_.nodes(), ByteTrie::none);
  // Level by level: at depth d a string's node takes its fallback from nodes of smaller depth.
  struct Walk {
    uint32_t string, node;
  };
  std::vector<Walk> walks;
  for (uint32_t i = 0; i < strings.size(); ++i) walks.push_back({i, ByteTrie::root});
  for (size_t depth = 1; !walks.empty(); ++depth) {
    std::erase_if(walks, [&](const Walk& walk) { return strings[walk.string].size() < depth; });
    for (Walk& walk : walks) {
      const std::string& text = strings[walk.string];
      const uint8_t byte = uint8_t(text[text.size() - depth]);
      const uint32_t node = trie_.child(walk.node, byte);
      if (depth > 1) fallback_[node] = step(fallback_[walk.node], byte);
      longest_[node] = trie_.value(node) != ByteTrie::none ? trie_.value(node) : longest_[fallback_[node]];
      walk.node = node;
    }
  }
}

uint32_t TokenFinder::step(uint32_t node, uint8_t byte) const {
  for (;;) {
    const uint32_t next = trie_.child(node, byte);
    if (next != ByteTrie::none) return next;
    if (node == ByteTrie::root) return ByteTrie::root;
    node = fallback_[node];
  }
}

std::vector<TokenFinder::Match> TokenFinder::find_all(std::string_view text) const {
  std::vector<Match> found;
  if (empty()) return found;
  uint32_t node = ByteTrie::root;
  for (size_t at = text.size(); at-- > 0;) {
    node = step(node, uint8_t(text[at]));
    const uint32_t which = longest_[node];
    if (which != ByteTrie::none) found.push_back({at, at + lengths_[which], which});
  }
  std::reverse(found.begin(), found.end());
  size_t end = 0;
  std::erase_if(found, [&](const Match& match) {
    if (match.begin < end) return true;
    end = match.end;
    return false;
  });
  return found;
}

}  // namespace data
