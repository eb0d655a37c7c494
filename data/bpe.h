// Byte-pair encoding (Sennrich, Haddow, Birch 2016, arXiv 1508.07909; over bytes: Radford et al. 2019): the
// merges, and how they are applied.
//
// A piece of text begins as its symbols (bytes, say); then, again and again, the adjacent pair of lowest rank
// in the list of merges becomes one token, leftmost first among equals, until no pair is in the list.
//
// Read first: tokenizer.h. Read next: bpe_train.h, bpe_files.h, pipeline/bpe_encoder.h.
#pragma once

#include <functional>
#include <memory>
#include <unordered_set>

#include "data/tokenizer.h"

namespace data {

struct Pipeline;

/// Two tokens that become one; its place in the list is its rank.
struct BpeMerge {
  TokenId left, right, result;
  bool operator==(const BpeMerge&) const = default;
};

/// All that defines a byte-level BPE tokenizer of GPT-2's form. check_bpe() says what must hold.
struct BpeModel {
  std::vector<std::string> tokens;  // the bytes of each id, "" for a hole; for special tokens their text
  std::vector<BpeMerge> merges;
  std::vector<AddedToken> special;
  std::string post_processor = "null";  // the part of tokenizer.json
  bool prefix_space = false;            // a space is put before a text that begins with none
};

/// How a token is written in files: its bytes in the alphabet of byte_alphabet.h, or a special token's own
/// text.
std::vector<std::string> token_texts(const BpeModel& model);

/// Fails unless every merge joins two tokens into their concatenation, no token is written like another one,
/// and special tokens have ids of their own. `what` names the source in errors.
void check_bpe(const BpeModel& model, const std::string& what);

/// The tokenizer, checked.
std::unique_ptr<Tokenizer> make_bpe_tokenizer(const BpeModel& model, const std::string& what);
/// The same, in pieces.
Pipeline bpe_pipeline(const BpeModel& model, const std::string& what);

/// (left, right) -> rank and result: open addressing, a power of two of 16-byte slots, at most half full. Of
/// a pair that is listed twice the later place counts, as in Hugging Face's tokenizers.
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

/// Between which symbols a merge can ever reach across. A long piece falls apart at all other places ("e" and
/// "▁", in most vocabularies), and each part is merged alone: the same ids, less memory and time.
class MergeBorders {
 public:
  /// `is_symbol`: whether a piece may begin with this token in it, before any merge.
  MergeBorders(const std::vector<BpeMerge>& merges, const std::function<bool(TokenId)>& is_symbol);
  /// Whether some token may hold the symbols `left` and `right` side by side.
  bool joined(TokenId left, TokenId right) const {
    return anywhere_ || pairs_.contains(uint64_t(left) << 32 | right);
  }

 private:
  std::unordered_set<uint64_t> pairs_;
  bool anywhere_ = false;
};

/// Applies the merges to the symbols of a piece, in place.
void apply_merges(const MergeTable& merges, const MergeBorders& borders, std::vector<TokenId>& ids);

/// The two ways to do it, which give the same ids: scanning for the lowest rank, for short pieces, and with a
/// heap, in O(n log n) and about 26 bytes of memory a symbol, for long ones.
void apply_merges_short(const MergeTable& merges, std::vector<TokenId>& ids);
void apply_merges_long(const MergeTable& merges, std::vector<TokenId>& ids);

}  // namespace data
