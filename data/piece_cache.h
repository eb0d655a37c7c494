// A cache from short pieces of text (at most 15 bytes) to their token ids: flat, 32 bytes a slot, two
// compares a hit.
//
// The key is the piece's bytes, padded with zeros, with the length in the sixteenth byte; three ids lie in
// the slot, longer answers in a pool behind it. It doubles when half full, up to a limit; then it keeps what
// it has: frequent pieces come early. Read first: bpe.h.
#pragma once

#include <bit>
#include <cstring>
#include <span>
#include <vector>

#include "data/tokenizer.h"

namespace data {

struct PieceKey {
  uint64_t low, high;  // high's top byte is the length: never 0

  static constexpr size_t longest = 15;
  /// The key of [p, p+n), 1 <= n <= longest; `readable` bytes may be read from p.
  static PieceKey of(const uint8_t* p, size_t n, size_t readable) {
    static_assert(std::endian::native == std::endian::little,
                  "keys are read from memory as little-endian words");
    uint64_t word[2] = {0, 0};
    if (readable >= 16) {
      std::memcpy(word, p, 16);
      if (n < 8) {
        word[0] &= ~uint64_t(0) >> (64 - 8 * n);
        word[1] = 0;
      } else {
        word[1] &= n == 8 ? 0 : ~uint64_t(0) >> (128 - 8 * n);
      }
    } else {
      std::memcpy(word, p, n);
    }
    return {word[0], word[1] | uint64_t(n) << 56};
  }
  bool operator==(const PieceKey&) const = default;
};

class PieceCache {
 public:
  PieceCache() : slots_(size_t(1) << 12) {}

  /// Appends the ids of `key` to out and returns true, or returns false.
  bool append(const PieceKey& key, std::vector<TokenId>& out) const {
    for (size_t i = hash(key);; ++i) {
      const Slot& slot = slots_[i & (slots_.size() - 1)];
      if (slot.key == key) {
        if (slot.count == 1) {
          out.push_back(slot.ids[0]);
        } else {
          const TokenId* ids = slot.count <= inline_ids ? slot.ids : pool_.data() + slot.ids[0];
          out.insert(out.end(), ids, ids + slot.count);
        }
        return true;
      }
      if (slot.key.high == 0) return false;
    }
  }

  /// Remembers the ids of a key that append() did not find.
  void insert(const PieceKey& key, std::span<const TokenId> ids) {
    if (2 * (used_ + 1) > slots_.size() && !grow()) return;
    Slot slot{key, uint32_t(ids.size()), {}};
    if (ids.size() <= inline_ids) {
      std::copy(ids.begin(), ids.end(), slot.ids);
    } else {
      slot.ids[0] = uint32_t(pool_.size());
      pool_.insert(pool_.end(), ids.begin(), ids.end());
    }
    place(slot);
    ++used_;
  }

 private:
  static constexpr size_t inline_ids = 3, most_slots = size_t(1) << 18;  // 8 MiB
  struct Slot {
    PieceKey key{0, 0};
    uint32_t count = 0;
    TokenId ids[inline_ids] = {};
  };

  static size_t hash(const PieceKey& key) {
    const unsigned __int128 product =
        (unsigned __int128)(key.low ^ 0x9E3779B97F4A7C15u) * (key.high ^ 0xD1B54A32D192ED03u);
    return size_t(uint64_t(product) ^ uint64_t(product >> 64));
  }
  void place(const Slot& slot) {
    size_t i = hash(slot.key);
    while (slots_[i & (slots_.size() - 1)].key.high != 0) ++i;
    slots_[i & (slots_.size() - 1)] = slot;
  }
  bool grow() {
    if (slots_.size() >= most_slots) return false;
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.key.high != 0) place(slot);
    }
    return true;
  }

  std::vector<Slot> slots_;
  std::vector<TokenId> pool_;
  size_t used_ = 0;
};

}  // namespace data
