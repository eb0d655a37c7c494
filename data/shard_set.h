// A set: the shards DIR/NAME-00000.bin, -00001.bin, ... that a TokenStream opens as "DIR/NAME", and their
// record DIR/NAME.json: what the set was made from, and where in its input each shard ends.
//
// Making a set may stop anywhere (Ctrl-C, a full disk). The next attempt finds in the record which shards
// are whole and goes on behind them; the same input then gives the same bytes as one attempt would have.
// Input is a sequence of pieces (documents, or parts of another program's file); finished shards hold some
// whole pieces and perhaps the beginning of one more.
//
// Read first: shards.h. Read next: prepare.h.
#pragma once

#include <memory>
#include <span>

#include "data/shards.h"
#include "data/tokenizer.h"
#include "engine/base/json.h"

namespace data {

enum class Existing { keep, replace };  // of shards that were made from something else

struct ShardSetOptions {
  std::string folder, name;
  int64_t shard_tokens = 0;  // most tokens in a shard
  /// What the set is made from, apart from the tokenizer and shard_tokens: equal only if the tokens are. Entries of
  /// "files" have "changed" (when) and "crc32c"; where the checksums agree, the time does not matter.
  engine::Json source;
  Existing existing = Existing::keep;
};

class ShardSet {
 public:
  /// Creates the folder and its tokenizer.json, looks for finished shards, and removes what else would be
  /// taken for a part of the set. Fails when the folder belongs to another tokenizer, or the set was made
  /// from another source (unless Existing::replace).
  ShardSet(ShardSetOptions options, const Tokenizer& tokenizer, int32_t separator);

  /// Was everything done before? Then nothing may be added.
  bool finished() const { return finished_; }
  /// How many of the next pieces finished shards hold whole: pass them to skip().
  int64_t pieces_to_skip() const { return done_pieces_ - pieces_; }
  void skip(int64_t pieces) { pieces_ += pieces; }
  /// Appends the next piece. A shard ends before a unit that would not fit; a unit that fits into no shard
  /// is cut.
  void add(std::span<const TokenId> tokens, std::span<const uint32_t> unit_lengths);
  /// Ends the last shard. Fails when the set has no tokens.
  void finish();

  int64_t tokens() const { return tokens_; }
  int64_t units() const { return units_; }
  size_t shards() const { return record_["shards"].size(); }
  std::string name() const { return options_.folder + "/" + options_.name; }

 private:
  std::string shard_name(size_t index) const;
  void load_record();
  void remove_leftovers() const;
  bool take_over(const engine::Json& shard, const std::string& path);
  void flush();
  void end_shard(int64_t token_in_piece);
  void save_record() const;

  ShardSetOptions options_;
  int64_t vocabulary_;
  int32_t separator_;
  TokenizerHash hash_;
  engine::Json record_;
  bool finished_ = false;
  std::unique_ptr<ShardWriter> writer_;  // of the shard being written; null before its first tokens
  std::vector<int32_t> pending_;         // tokens not yet given to it
  std::vector<uint32_t> pending_units_;
  int64_t pieces_ = 0, done_pieces_ = 0, done_tokens_ = 0;  // done: by finished shards, tokens of a piece
  int64_t tokens_ = 0, units_ = 0;                          // of finished shards
};

/// The tokenizer's hash as shards hold it.
TokenizerHash hash_bytes(const std::string& hex);

}  // namespace data
