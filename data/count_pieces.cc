// Counting distinct pieces of text on several threads: the first half of BPE training. Read first:
// bpe_train.h.
#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>

#include "data/bpe_train.h"
#include "data/parallel.h"
#include "data/piece_cache.h"
#include "data/pretokenize.h"

namespace data {

/// Piece -> count: open addressing, at most half full, over pieces that are copied one behind the other.
/// (std::unordered_map allocates a node a piece and is four times slower here.)
class PieceCounter {
 public:
  PieceCounter() : slots_(size_t(1) << 12) {}

  void add(const char* first, size_t bytes, size_t readable, uint64_t count) {
    const uint64_t hash = hash_of(reinterpret_cast<const uint8_t*>(first), bytes, readable);
    for (size_t i = hash;; ++i) {
      Slot& slot = slots_[i & (slots_.size() - 1)];
      if (slot.count == 0) {
        slot = {hash, count, kept(first, bytes), bytes};
        if (2 * ++used_ > slots_.size()) grow();
        return;
      }
      if (slot.hash == hash && slot.bytes == bytes && std::memcmp(slot.first, first, bytes) == 0) {
        slot.count += count;
        return;
      }
    }
  }
  void add_all(const PieceCounter& other) {
    for (const Slot& slot : other.slots_) {
      if (slot.count > 0) add(slot.first, slot.bytes, slot.bytes, slot.count);
    }
  }
  std::vector<PieceCount> sorted() const {
    std::vector<PieceCount> counts;
    for (const Slot& slot : slots_) {
      if (slot.count > 0) counts.push_back({{slot.first, slot.bytes}, slot.count});
    }
    std::sort(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.piece < b.piece; });
    return counts;
  }

 private:
  struct Slot {
    uint64_t hash = 0, count = 0;
    const char* first = nullptr;
    size_t bytes = 0;
  };

  static uint64_t mix(uint64_t a, uint64_t b) {
    const unsigned __int128 product =
        (unsigned __int128)(a ^ 0x9E3779B97F4A7C15u) * (b ^ 0xD1B54A32D192ED03u);
    return uint64_t(product) ^ uint64_t(product >> 64);
  }
  static uint64_t hash_of(const uint8_t* p, size_t bytes, size_t readable) {
    uint64_t hash = 0;
    while (bytes > PieceKey::longest) {
      const PieceKey key = PieceKey::of(p, PieceKey::longest, readable);
      hash = mix(hash ^ key.low, key.high);
      p += PieceKey::longest, bytes -= PieceKey::longest, readable -= PieceKey::longest;
    }
    const PieceKey key = bytes > 0 ? PieceKey::of(p, bytes, readable) : PieceKey{0, 0};
    return mix(hash ^ key.low, key.high);
  }
  /// A copy that stays where it is.
  const char* kept(const char* first, size_t bytes) {
    constexpr size_t kBlock = size_t(1) << 20;
    if (bytes > room_) {
      room_ = std::max(bytes, kBlock);
      blocks_.push_back(std::make_unique<char[]>(room_));
      next_ = blocks_.back().get();
    }
    char* copy = next_;
    std::memcpy(copy, first, bytes);
    next_ += bytes, room_ -= bytes;
    return copy;
  }
  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.count == 0) continue;
      size_t i = slot.hash;
      while (slots_[i & (slots_.size() - 1)].count > 0) ++i;
      slots_[i & (slots_.size() - 1)] = slot;
    }
  }

  std::vector<Slot> slots_;
  size_t used_ = 0;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;  // in the last block, with `room_` bytes behind it
  size_t room_ = 0;
};

PieceCounts::PieceCounts(int threads) : threads_(threads) {}
PieceCounts::~PieceCounts() = default;

void PieceCounts::add(std::span<const std::string_view> texts) {
  constexpr size_t part_bytes = size_t(1) << 20;
  std::vector<std::string_view> parts;
  for (const std::string_view text : texts) {
    const auto cut = split_at_safe_places(text, part_bytes);
    parts.insert(parts.end(), cut.begin(), cut.end());
  }
  // A counter is borrowed a part at a time: sums do not depend on who counted what.
  std::mutex mutex;
  parallel_pieces(parts.size(), threads_, [&](size_t i) {
    std::unique_ptr<PieceCounter> counter;
    {
      const std::lock_guard lock(mutex);
      if (!counters_.empty()) counter = std::move(counters_.back()), counters_.pop_back();
    }
    if (!counter) counter = std::make_unique<PieceCounter>();
    const char* end = parts[i].data() + parts[i].size();
    for_each_piece(parts[i], [&](const uint8_t* first, const uint8_t* last) {
      const char* p = reinterpret_cast<const char*>(first);
      counter->add(p, size_t(last - first), size_t(end - p), 1);
    });
    const std::lock_guard lock(mutex);
    counters_.push_back(std::move(counter));
  });
}

std::vector<PieceCount> PieceCounts::sorted() {
  if (counters_.empty()) return {};
  for (; counters_.size() > 1; counters_.pop_back()) counters_[0]->add_all(*counters_.back());
  return counters_[0]->sorted();
}

}  // namespace data
