// Several shards (or a vector of ids) as one sequence of tokens. A path may be a shard, a folder of shards,
// or a folder and the name that `normlab prepare` gave a set: "tokens/train" is tokens/train-00000.bin,
// -00001.bin, ...
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/shards.h"

namespace data {

class TokenStream {
 public:
  /// Opens every shard of `path` in the order of their names. They must agree on tokenizer, vocabulary and
  /// separator.
  static std::shared_ptr<const TokenStream> open(const std::string& path, Verify verify = Verify::all);
  /// Ids in memory; `unit_lengths` may be empty (one unit).
  static std::shared_ptr<const TokenStream> of(std::vector<int32_t> ids, int64_t vocabulary,
                                               int32_t separator, std::vector<uint32_t> unit_lengths = {});

  int64_t size() const { return starts_.back(); }
  int64_t vocabulary() const { return vocabulary_; }
  int32_t separator() const { return separator_; }
  const TokenizerHash& tokenizer() const { return tokenizer_; }
  /// Fails unless the shards were made with this tokenizer.
  void check_tokenizer(const TokenizerHash& hash) const;

  /// Copies tokens [first, first + count).
  void read(int64_t first, int64_t count, int32_t* out) const;
  /// The lengths of all units, in order.
  std::vector<uint32_t> unit_lengths() const;
  /// Differs when the tokens differ (from the shards' checksums); see BatchPosition.
  int64_t fingerprint() const { return fingerprint_; }

 private:
  TokenStream() = default;

  std::string name_;
  std::vector<ShardReader> shards_;
  std::vector<int64_t> starts_{0};  // of each shard, and the end
  std::vector<int32_t> ids_;        // when in memory
  std::vector<uint32_t> unit_lengths_;
  int64_t vocabulary_ = 0, fingerprint_ = 1;
  int32_t separator_ = 0;
  TokenizerHash tokenizer_{};
};

/// The shard files that `path` names, sorted.
std::vector<std::string> shard_files(const std::string& path);

}  // namespace data
