// Strings to numbers, walked a byte at a time: the tree behind every search for the longest token at a place.
// Edges lie in one open-addressing table, so a tree of any shape costs 16 bytes for each byte of its strings.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace data {

class ByteTrie {
 public:
  static constexpr uint32_t root = 0, none = 0xFFFFFFFF;

  /// The node that spells `text`, made where it is missing. Its value is kept: the last one given counts.
  uint32_t insert(std::string_view text, uint32_t value);
  /// The node behind `byte`, or none.
  uint32_t child(uint32_t node, uint8_t byte) const {
    if (node == root) return from_root_[byte];
    const uint64_t key = key_of(node, byte);
    for (size_t i = hash(key);; ++i) {
      const Edge& edge = edges_[i & mask_];
      if (edge.key == key) return edge.child;
      if (edge.key == 0) return none;
    }
  }
  /// The value of the string that ends at this node, or none.
  uint32_t value(uint32_t node) const { return values_[node]; }
  size_t nodes() const { return values_.size(); }

 private:
  struct Edge {
    uint64_t key = 0;  // 0: empty; only the root has number 0, and its edges lie in from_root_
    uint32_t child = none;
  };

  static uint64_t key_of(uint32_t node, uint8_t byte) { return uint64_t(node) << 8 | byte; }
  static size_t hash(uint64_t key) { return size_t((key * 0x9E3779B97F4A7C15u) >> 32); }
  void add_edge(uint64_t key, uint32_t child);

  std::vector<uint32_t> values_ = {none};  // by node
  std::vector<uint32_t> from_root_ = std::vector<uint32_t>(256, none);
  std::vector<Edge> edges_ = std::vector<Edge>(16);  // at most half full
  size_t used_ = 0, mask_ = 15;
};

}  // namespace data
