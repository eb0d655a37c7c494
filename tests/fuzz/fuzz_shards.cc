// Fuzzing token shards, and the token files of llm.c and nanoGPT. A shard's checksums would stop nearly every
// change at the door, so they are made right first: what lies behind them is to be tested too. The first byte
// says whether that is done.
#include <zlib.h>

#include <cstring>

#include "data/import_tokens.h"
#include "data/mlm_rows.h"
#include "data/shards.h"
#include "data/token_stream.h"
#include "data/train_tokenizer.h"
#include "engine/base/file.h"
#include "fuzz.h"

namespace {

constexpr size_t kChecksum = 72, kHeaderChecksum = 76;

void put_word(std::string& bytes, size_t at, uint32_t value) { std::memcpy(&bytes[at], &value, 4); }

uint32_t crc_of(std::string_view bytes) {
  return uint32_t(crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), uInt(bytes.size())));
}

void mend_checksums(std::string& shard) {
  if (shard.size() < data::kShardHeaderBytes) return;
  put_word(shard, kChecksum, crc_of(std::string_view(shard).substr(data::kShardHeaderBytes)));
  put_word(shard, kHeaderChecksum, crc_of(std::string_view(shard).substr(0, kHeaderChecksum)));
}

std::string shard(int64_t vocabulary, const std::vector<int32_t>& tokens,
                  const std::vector<uint32_t>& units) {
  const std::string path = input_file("", "seed");
  data::ShardWriter writer(path, vocabulary, 0, {});
  writer.add(tokens, units);
  writer.commit();
  return engine::read_file(path);
}

std::string llmc(int32_t magic, int32_t version, int32_t tokens, size_t token_bytes) {
  std::string out(1024 + size_t(tokens) * token_bytes, 0);
  put_word(out, 0, uint32_t(magic)), put_word(out, 4, uint32_t(version)), put_word(out, 8, uint32_t(tokens));
  return out;
}

void read_shard(const std::string& path) {
  const auto stream = data::TokenStream::open(path);
  std::vector<int32_t> tokens(static_cast<size_t>(stream->size()));
  stream->read(0, stream->size(), tokens.data());
  for (const int32_t token : tokens) require(token >= 0 && token < stream->vocabulary());
  uint64_t sum = 0;
  for (const uint32_t length : stream->unit_lengths()) sum += length;
  require(sum == tokens.size());
  const auto rows = data::mlm_rows(stream, {.length = 8, .begin = 0, .pad = 0, .mask = {.mask = 0}});
  std::vector<int32_t> ids(8), labels(8);
  std::vector<uint8_t> mask(8);
  for (int64_t i = 0; i < std::min<int64_t>(rows->count(), 64); ++i) rows->fill(0, i, {ids, labels, mask});
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  const std::vector<std::string> files = {shard(256, {1, 2, 3, 0, 4, 5, 0}, {4, 3}),
                                          shard(70000, {69999, 0, 7}, {2, 1}),
                                          shard(10, {}, {}),
                                          llmc(20240520, 1, 3, 2),
                                          llmc(20240801, 7, 2, 4),
                                          byte_text("\1\0\2\0\3\0")};
  std::vector<std::string> out;
  for (const std::string& file : files)
    for (const char mend : {0, 1}) out.push_back(mend + file);
  return out;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  static const auto tokenizer =
      data::train_tokenizer({}, {.kind = data::TokenizerKind::byte, .special = {"<|endoftext|>"}});
  if (size == 0) return 0;
  std::string file(input_text(bytes + 1, size - 1));
  if (bytes[0] % 2 == 1) mend_checksums(file);
  const std::string path = input_file(file, "input.bin");
  fuzz_one([&] { read_shard(path); });
  for (const auto form : {data::PrepareForm::llmc, data::PrepareForm::nanogpt})
    fuzz_one([&] { data::read_token_file(path, form, *tokenizer, [](const data::EncodedPiece&) {}); });
  return 0;
}
