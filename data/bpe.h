// Byte-pair encoding over bytes (Sennrich, Haddow, Birch 2016, arXiv 1508.07909; bytes: Radford et al. 2019).
//
// A piece of text (pretokenize.h) begins as its bytes; then, again and again, the adjacent pair of lowest
// rank in the list of merges becomes one token, leftmost first among equals, until no pair is in the list.
//
// The speed is in a cache from piece to ids: text repeats its words (Zipf), so nearly all pieces are found
// there. Read first: tokenizer.h, pretokenize.h.
#pragma once

#include <array>
#include <mutex>

#include "data/tokenizer.h"

namespace data {

/// Two tokens that become one; its place in the list is its rank.
struct BpeMerge {
  TokenId left, right, result;
  bool operator==(const BpeMerge&) const = default;
};

/// All that defines a BPE tokenizer. check_bpe() says what must hold.
struct BpeModel {
  std::vector<std::string> tokens;  // the bytes of each id; for special tokens their text
  std::vector<BpeMerge> merges;
  std::vector<SpecialToken> special;
  std::string post_processor = "null";  // JSON that other programs read in tokenizer.json; kept, not acted on
};

/// How a token is written in files: its bytes in the alphabet of byte_alphabet.h, or a special token's own
/// text.
std::vector<std::string> token_texts(const BpeModel& model);

/// Fails unless every merge joins two tokens into their concatenation, no pair appears twice, no token is
/// empty or written like another one, and at least one single byte is a token. `what` names the source in
/// errors.
void check_bpe(const BpeModel& model, const std::string& what);

/// (left, right) -> rank and result: open addressing, a power of two of 16-byte slots, at most half full.
class MergeTable {
 public:
  struct Entry {
    uint32_t left = no_token, right = no_token, rank = no_token, result = no_token;
  };
  explicit MergeTable(const std::vector<BpeMerge>& merges);
  /// rank == no_token: not in the list.
  Entry find(TokenId left, TokenId right) const {
    for (size_t i = hash(left, right);; ++i) {
      const Entry& e = slots_[i & mask_];
      if ((e.left == left && e.right == right) || e.left == no_token) return e;
    }
  }

 private:
  static size_t hash(TokenId left, TokenId right) {
    const uint64_t mixed = ((uint64_t(left) << 32) | right) * 0x9E3779B97F4A7C15u;
    return size_t(mixed >> 32);
  }
  std::vector<Entry> slots_;
  size_t mask_;
};

/// Applies the merges to `ids` in place. Short pieces by scanning for the lowest rank, long ones with a heap:
/// both give the same ids, and the second needs O(n log n) on a piece of any length.
void apply_merges_short(const MergeTable& merges, std::vector<TokenId>& ids);
void apply_merges_long(const MergeTable& merges, std::vector<TokenId>& ids);

class PieceCache;

class BpeTokenizer final : public Tokenizer {
 public:
  /// Checks the model.
  BpeTokenizer(BpeModel model, const std::string& what);
  ~BpeTokenizer() override;

  TokenizerKind kind() const override { return TokenizerKind::bpe; }
  size_t vocab_size() const override { return model_.tokens.size(); }
  std::string to_json() const override;
  const BpeModel& model() const { return model_; }

 protected:
  void encode_ordinary(std::string_view text, int threads, std::vector<TokenId>& out) const override;
  void decode_ids(std::span<const TokenId> ids, std::string& out) const override;

 private:
  void encode_part(std::string_view text, std::vector<TokenId>& out) const;
  void merge_piece(const uint8_t* first, const uint8_t* last, std::vector<TokenId>& ids) const;

  BpeModel model_;
  MergeTable merges_;
  std::array<TokenId, 256> byte_ids_;
  // For decoding: the bytes of all tokens one after the other, with room to read 16 from any of them, and
  // where each token begins.
  std::string token_bytes_;
  std::vector<uint32_t> token_starts_;
  // Caches are lent to one call at a time and stay warm between calls.
  mutable std::mutex cache_mutex_;
  mutable std::vector<std::unique_ptr<PieceCache>> idle_caches_;
};

}  // namespace data
