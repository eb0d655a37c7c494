// Read first: shards.h.
#include "data/shards.h"

#include <sys/stat.h>
#include <zlib.h>

#include <bit>
#include <cstring>
#include <numeric>

#include "engine/base/check.h"

namespace data {
namespace {

using engine::check;
static_assert(std::endian::native == std::endian::little, "shards are mapped as they lie in the file");

constexpr char kMagic[9] = "NLTOKENS";
constexpr uint32_t kVersion = 1;

/// The header as it lies in the file.
struct Header {
  char magic[8];
  uint32_t version, token_bytes;
  uint64_t tokens, units;
  uint32_t vocabulary, separator;
  uint8_t tokenizer[32];
  uint32_t checksum, header_checksum;
};
static_assert(sizeof(Header) == kShardHeaderBytes);

uint32_t crc(const void* data, size_t bytes, uint32_t seed = 0) {
  return uint32_t(crc32_z(seed, static_cast<const Bytef*>(data), bytes));
}
uint32_t header_crc(const Header& h) { return crc(&h, offsetof(Header, header_checksum)); }
uint64_t padded(uint64_t bytes) { return (bytes + 3) / 4 * 4; }

/// What a foreign file seems to be, for the error message.
std::string looks_like(const Header& h) {
  uint32_t first;
  std::memcpy(&first, &h, 4);
  if (first == 20240520 || first == 20240801) return " (it looks like llm.c's: use prepare --import llmc)";
  return " (a raw .bin of nanoGPT's? use prepare --import nanogpt)";
}

ShardInfo read_header(const engine::MappedFile& file) {
  const std::string& path = file.path();
  check(file.size() >= kShardHeaderBytes, path, ": not a token shard: ", file.size(),
        " bytes, the header alone has ", kShardHeaderBytes);
  Header h;
  std::memcpy(&h, file.data(), sizeof h);
  check(std::memcmp(h.magic, kMagic, 8) == 0, path, ": not a token shard", looks_like(h));
  check(h.version == kVersion, path, ": shard version ", h.version, ", this program reads version ",
        kVersion);
  check(h.header_checksum == header_crc(h), path, ": the shard's header is damaged (checksum)");
  check(h.token_bytes == 2 || h.token_bytes == 4, path, ": ", h.token_bytes,
        " bytes a token, expected 2 or 4");
  check(h.vocabulary > 0 && h.separator < h.vocabulary, path, ": separator ", h.separator,
        " is outside the vocabulary of ", h.vocabulary);
  check(h.token_bytes == 4 || h.vocabulary <= 65536, path, ": a vocabulary of ", h.vocabulary,
        " does not fit into 2-byte tokens");
  constexpr uint64_t kMost = uint64_t(1) << 48;  // keeps the sum below from wrapping
  check(h.tokens < kMost && h.units <= h.tokens, path, ": absurd counts in the header: ", h.tokens,
        " tokens, ", h.units, " units");
  const uint64_t expected = kShardHeaderBytes + padded(h.tokens * h.token_bytes) + h.units * 4;
  check(file.size() == expected, path, ": ", file.size() < expected ? "truncated" : "too long", ": ",
        file.size(), " bytes where ", h.tokens, " tokens and ", h.units, " units need ", expected);
  ShardInfo info{.tokens = int64_t(h.tokens),
                 .units = int64_t(h.units),
                 .vocabulary = h.vocabulary,
                 .separator = int32_t(h.separator),
                 .token_bytes = int(h.token_bytes),
                 .checksum = h.checksum};
  std::memcpy(info.tokenizer.data(), h.tokenizer, 32);
  return info;
}

template <class T>
const T* at(const engine::MappedFile& file, uint64_t offset) {
  return reinterpret_cast<const T*>(file.data() + offset);
}

}  // namespace

int token_bytes_for(int64_t vocabulary) { return vocabulary <= 65536 ? 2 : 4; }

ShardReader::ShardReader(const std::string& path, Verify verify) : file_(path), info_(read_header(file_)) {
  struct stat now {};
  const bool found = ::stat(path.c_str(), &now) == 0;
  check(found, path, ": ", std::strerror(errno));
  inode_ = now.st_ino;
  modified_ns_ = int64_t(now.st_mtim.tv_sec) * 1'000'000'000 + now.st_mtim.tv_nsec;
  if (verify == Verify::all) verify_all();
}

void ShardReader::verify_all() const {
  const size_t body = file_.size() - kShardHeaderBytes;
  check(crc(file_.data() + kShardHeaderBytes, body) == info_.checksum, path(),
        ": the shard is damaged: its contents do not match the checksum in its header");
  for (int64_t i = 0; i < info_.tokens; ++i)
    check(uint32_t(token(i)) < uint64_t(info_.vocabulary), path(), ": token ", i, " is ", uint32_t(token(i)),
          ", outside the vocabulary of ", info_.vocabulary);
  int64_t sum = 0;
  for (int64_t i = 0; i < info_.units; ++i) sum += unit_length(i);
  check(sum == info_.tokens, path(), ": the units have ", sum, " tokens together, the shard has ",
        info_.tokens);
}

void ShardReader::check_unchanged() const {
  // A file that was replaced by another one (another inode) leaves this mapping whole.
  struct stat now {};
  if (::stat(path().c_str(), &now) != 0 || now.st_ino != inode_) return;
  const int64_t modified = int64_t(now.st_mtim.tv_sec) * 1'000'000'000 + now.st_mtim.tv_nsec;
  check(modified == modified_ns_ && size_t(now.st_size) == file_.size(), path(),
        ": changed while it was read");
}

int32_t ShardReader::token(int64_t index) const {
  if (info_.token_bytes == 2) return at<uint16_t>(file_, kShardHeaderBytes)[index];
  return int32_t(at<uint32_t>(file_, kShardHeaderBytes)[index]);
}

int64_t ShardReader::unit_length(int64_t unit) const {
  return at<uint32_t>(file_, kShardHeaderBytes + padded(uint64_t(info_.tokens * info_.token_bytes)))[unit];
}

void ShardReader::read(int64_t first, int64_t count, int32_t* out) const {
  check(first >= 0 && count >= 0 && first <= info_.tokens - count, path(), ": tokens ", first, " to ",
        first + count, " of ", info_.tokens);
  check_unchanged();
  for (int64_t i = 0; i < count; ++i) out[i] = token(first + i);
}

ShardWriter::ShardWriter(const std::string& path, int64_t vocabulary, int32_t separator,
                         const TokenizerHash& tokenizer)
    : file_(path), path_(path) {
  check(vocabulary > 0 && vocabulary <= (int64_t(1) << 31), path, ": a vocabulary of ", vocabulary,
        " does not fit into 4-byte tokens");
  check(separator >= 0 && separator < vocabulary, path, ": separator ", separator,
        " is outside the vocabulary of ", vocabulary);
  info_ = {.vocabulary = vocabulary,
           .separator = separator,
           .token_bytes = token_bytes_for(vocabulary),
           .tokenizer = tokenizer};
  file_.write(std::string(kShardHeaderBytes, '\0'));
}

void ShardWriter::write(const void* data, size_t bytes) {
  info_.checksum = crc(data, bytes, info_.checksum);
  file_.write(data, bytes);
}

void ShardWriter::add(const std::vector<int32_t>& tokens, const std::vector<uint32_t>& unit_lengths) {
  const uint64_t sum = std::accumulate(unit_lengths.begin(), unit_lengths.end(), uint64_t(0));
  check(sum == tokens.size(), path_, ": units of ", sum, " tokens for ", tokens.size(), " tokens");
  const size_t width = size_t(info_.token_bytes);
  buffer_.resize(tokens.size() * width);
  for (size_t i = 0; i < tokens.size(); ++i) {
    check(tokens[i] >= 0 && tokens[i] < info_.vocabulary, path_, ": token ", tokens[i],
          " is outside the vocabulary of ", info_.vocabulary);
    std::memcpy(buffer_.data() + i * width, &tokens[i], width);
  }
  write(buffer_.data(), buffer_.size());
  info_.tokens += int64_t(tokens.size());
  info_.units += int64_t(unit_lengths.size());
  unit_lengths_.insert(unit_lengths_.end(), unit_lengths.begin(), unit_lengths.end());
}

ShardInfo ShardWriter::commit() {
  const uint64_t bytes = uint64_t(info_.tokens) * uint64_t(info_.token_bytes);
  write("\0\0\0", padded(bytes) - bytes);
  write(unit_lengths_.data(), unit_lengths_.size() * 4);
  Header h{};
  std::memcpy(h.magic, kMagic, 8);
  h.version = kVersion;
  h.token_bytes = uint32_t(info_.token_bytes);
  h.tokens = uint64_t(info_.tokens);
  h.units = uint64_t(info_.units);
  h.vocabulary = uint32_t(info_.vocabulary);
  h.separator = uint32_t(info_.separator);
  std::memcpy(h.tokenizer, info_.tokenizer.data(), 32);
  h.checksum = info_.checksum;
  h.header_checksum = header_crc(h);
  file_.write_at(0, &h, sizeof h);
  file_.commit();
  return info_;
}

}  // namespace data
