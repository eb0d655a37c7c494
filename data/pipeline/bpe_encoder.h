// The BPE model of tokenizer.json: a piece begins as its symbols and pairs of them are joined (data/bpe.h
// says in which order). Symbols are bytes, where ByteLevel cut the text, or characters, which may have tokens
// with a prefix inside a piece or a suffix at its end.
//
// A symbol that the vocabulary lacks is its bytes ("<0xE2>", with byte_fallback), else the unknown token (one
// for several in a row, with fuse_unk), else an error. Read first: piece_model.h, data/bpe.h.
#pragma once

#include <array>

#include "data/bpe.h"
#include "data/pipeline/byte_tokens.h"
#include "data/pipeline/piece_model.h"

namespace data {

/// What the file's "model" says beside vocabulary and merges.
struct BpeOptions {
  std::string unknown, prefix, suffix;  // "": none
  bool fuse_unknown = false, byte_fallback = false;
  bool ignore_merges = false;  // a piece that is a token is that token, whether or not merges lead to it
  bool bytes = true;           // symbols are bytes; tokens are written in data/byte_alphabet.h
};

class BpeEncoder final : public PieceModel {
 public:
  BpeEncoder(Vocabulary vocabulary, const std::vector<BpeMerge>& merges, BpeOptions options,
             const std::string& what);

  TokenizerKind kind() const override { return TokenizerKind::bpe; }
  void encode(std::string_view piece, std::vector<TokenId>& out) const override;
  std::string to_json() const override;

 private:
  void byte_symbols(std::string_view piece, std::vector<TokenId>& ids) const;
  void character_symbols(std::string_view piece, std::vector<TokenId>& ids) const;
  /// What stands for a symbol without a token. `pending`: an unknown token that is not written yet.
  void missing_symbol(std::string_view symbol, TokenId& pending, std::vector<TokenId>& ids) const;

  BpeOptions options_;
  std::vector<BpeMerge> merge_list_;  // as the file has them, for to_json()
  MergeTable merges_;
  TokenId unknown_;
  std::array<TokenId, 256> byte_ids_{};                  // with options_.bytes
  std::unordered_map<uint32_t, TokenId> character_ids_;  // without, prefix and suffix left out
  ByteTokens fallback_;
  MergeBorders borders_;
};

/// The merge of two tokens by their texts; fails when they or their result are not in the vocabulary.
/// `prefix_bytes` of the right one are not part of the result.
BpeMerge find_merge(const Vocabulary& vocabulary, const std::string& left, const std::string& right,
                    size_t prefix_bytes, size_t number, const std::string& what);
/// "a b" as its two tokens.
std::pair<std::string, std::string> split_merge_line(std::string_view line, size_t number,
                                                     const std::string& what);

/// From the file: `bytes` as in BpeOptions.
std::unique_ptr<PieceModel> make_bpe(const JsonPart& part, bool bytes);

}  // namespace data
