// Token shards: files of token ids, memory-mapped.
//
//   offset  type      field (all little-endian)
//   0       char[8]   "NLTOKENS"
//   8       uint32    version, 1
//   12      uint32    bytes of a token: 2 (vocabulary up to 65,536) or 4
//   16      uint64    tokens
//   24      uint64    units
//   32      uint32    vocabulary size; every id is below it
//   36      uint32    id of the separator: the token that ends a document
//   40      uint8[32] SHA-256 that identifies the tokenizer
//   72      uint32    CRC-32 of everything after the header
//   76      uint32    CRC-32 of bytes 0 to 75
//   80      ...       the tokens; zero bytes up to a multiple of 4; the units' lengths in tokens, uint32 each
//
// Units are what masked-LM batching packs whole: lines, sentences or documents, as the shard's writer was
// told. Their lengths add up to the number of tokens.
//
// Read next: token_stream.h (several shards as one sequence), prepare.h (text to shards).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/file.h"

namespace data {

constexpr size_t kShardHeaderBytes = 80;
using TokenizerHash = std::array<uint8_t, 32>;

struct ShardInfo {
  int64_t tokens = 0, units = 0;
  int64_t vocabulary = 0;
  int32_t separator = 0;
  int token_bytes = 2;
  uint32_t checksum = 0;
  TokenizerHash tokenizer{};
};

enum class Verify { header, all };  // all: the checksum, every id and the units' sum too

/// A shard that is open for reading. Any damage is an Error that names the file and the broken rule.
class ShardReader {
 public:
  explicit ShardReader(const std::string& path, Verify verify = Verify::all);

  const ShardInfo& info() const { return info_; }
  const std::string& path() const { return file_.path(); }
  /// Copies tokens [first, first + count). Fails when the file was written to since it was opened.
  void read(int64_t first, int64_t count, int32_t* out) const;
  int32_t token(int64_t index) const;
  int64_t unit_length(int64_t unit) const;

 private:
  void check_unchanged() const;
  void verify_all() const;

  engine::MappedFile file_;
  ShardInfo info_;
  uint64_t inode_ = 0;
  int64_t modified_ns_ = 0;
};

/// Writes one shard; nothing appears under its name before commit().
class ShardWriter {
 public:
  ShardWriter(const std::string& path, int64_t vocabulary, int32_t separator, const TokenizerHash& tokenizer);
  /// Appends tokens; `unit_lengths` must add up to their number.
  void add(const std::vector<int32_t>& tokens, const std::vector<uint32_t>& unit_lengths);
  int64_t tokens() const { return info_.tokens; }
  /// Finishes the file and returns what its header says.
  ShardInfo commit();

 private:
  void write(const void* data, size_t bytes);

  engine::AtomicFile file_;
  ShardInfo info_;
  std::string path_;
  std::vector<uint32_t> unit_lengths_;
  std::vector<uint8_t> buffer_;
};

/// The width that holds ids below `vocabulary`.
int token_bytes_for(int64_t vocabulary);

}  // namespace data
