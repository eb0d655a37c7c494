// Read first: byte_trie.h.
#include "data/byte_trie.h"

namespace data {

void ByteTrie::add_edge(uint64_t key, uint32_t child) {
  const auto place = [this](const Edge& edge) {
    size_t i = hash(edge.key);
    while (edges_[i & mask_].key != 0) ++i;
    edges_[i & mask_] = edge;
  };
  if (2 * ++used_ > edges_.size()) {
    std::vector<Edge> old(2 * edges_.size());
    old.swap(edges_);
    mask_ = edges_.size() - 1;
    for (const Edge& edge : old)
      if (edge.key != 0) place(edge);
  }
  place({key, child});
}

uint32_t ByteTrie::insert(std::string_view text, uint32_t value) {
  uint32_t node = root;
  for (const char c : text) {
    const uint8_t byte = uint8_t(c);
    uint32_t next = child(node, byte);
    if (next == none) {
      next = uint32_t(values_.size());
      values_.push_back(none);
      if (node == root)
        from_root_[byte] = next;
      else
        add_edge(key_of(node, byte), next);
    }
    node = next;
  }
  values_[node] = value;
  return node;
}

}  // namespace data
