// Token shards: round trips, every kind of damage, several shards as one stream.
#include "data/shards.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <numeric>

#include "data/token_stream.h"
#include "engine/base/check.h"
#include "engine/base/philox.h"
#include "temporary_folder.h"

using namespace data;
using Catch::Matchers::Contains;

namespace {

TokenizerHash hash_of(uint8_t fill) {
  TokenizerHash out;
  out.fill(fill);
  return out;
}

std::vector<int32_t> random_tokens(int n, int32_t vocabulary, uint64_t seed) {
  engine::Rng rng{seed};
  std::vector<int32_t> out;
  for (int i = 0; i < n; ++i) out.push_back(int32_t(rng.below(uint64_t(vocabulary))));
  return out;
}

ShardInfo write(const std::string& path, const std::vector<int32_t>& tokens, int64_t vocabulary,
                std::vector<uint32_t> units = {}, uint8_t hash = 7) {
  ShardWriter writer(path, vocabulary, 0, hash_of(hash));
  if (units.empty() && !tokens.empty()) units = {uint32_t(tokens.size())};
  writer.add(tokens, units);
  return writer.commit();
}

/// Writes without flushing to disk: some tests write thousands of files.
void put(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace

TEST_CASE("tokens and units come back, in both widths and any length") {
  const TemporaryFolder folder;
  for (int64_t vocabulary : {256, 65536, 65537, 200000}) {
    for (int n : {0, 1, 2, 3, 1000}) {
      const auto tokens = random_tokens(n, int32_t(vocabulary), uint64_t(n));
      std::vector<uint32_t> units;
      if (n > 2) units = {1, uint32_t(n - 1)};
      write(folder / "a.bin", tokens, vocabulary, units);
      const ShardReader reader(folder / "a.bin");
      CHECK(reader.info().token_bytes == (vocabulary <= 65536 ? 2 : 4));
      CHECK(reader.info().tokenizer == hash_of(7));
      REQUIRE(reader.info().tokens == n);
      std::vector<int32_t> back(static_cast<size_t>(n));
      reader.read(0, n, back.data());
      CHECK(back == tokens);
      if (n > 2) CHECK((reader.info().units == 2 && reader.unit_length(1) == n - 1));
    }
  }
}

TEST_CASE("damage anywhere in a shard is noticed") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.bin";
  const auto tokens = random_tokens(500, 300, 1);
  write(path, tokens, 300, {200, 300});
  const std::string good = engine::read_file(path);
  for (size_t cut : {size_t(0), size_t(10), size_t(79), size_t(80), good.size() / 2, good.size() - 1}) {
    engine::write_file(path, std::string_view(good).substr(0, cut));
    CHECK_THROWS_WITH(ShardReader(path), Contains(path));
  }
  engine::write_file(path, good + "x");
  CHECK_THROWS_WITH(ShardReader(path), Contains("too long"));
  for (size_t offset = 0; offset < good.size(); ++offset) {
    std::string damaged = good;
    damaged[offset] = char(damaged[offset] ^ 0x10);
    put(path, damaged);
    CHECK_THROWS_AS(ShardReader(path), engine::Error);
  }
}

TEST_CASE("a shard's messages say what is wrong") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.bin";
  engine::write_file(path, std::string(4096, '\1'));
  CHECK_THROWS_WITH(ShardReader(path), Contains("not a token shard") && Contains("nanogpt"));
  std::string llmc(1024, '\0');
  const int32_t magic = 20240520;
  std::memcpy(llmc.data(), &magic, 4);
  engine::write_file(path, llmc);
  CHECK_THROWS_WITH(ShardReader(path), Contains("--import llmc"));
  CHECK_THROWS_WITH(ShardReader(folder / "none"), Contains("none"));
  CHECK_THROWS_WITH(write(path, {5}, 5), Contains("token 5 is outside the vocabulary of 5"));
  CHECK_THROWS_WITH(write(path, {-1}, 5), Contains("token -1"));
  CHECK_THROWS_WITH(write(path, {1, 2}, 5, {3}), Contains("units of 3 tokens for 2"));
  CHECK_THROWS_WITH(write(path, {1}, int64_t(1) << 33), Contains("does not fit"));
}

TEST_CASE("nothing appears under the final name before commit") {
  const TemporaryFolder folder;
  {
    ShardWriter writer(folder / "a.bin", 10, 0, hash_of(1));
    writer.add({1, 2, 3}, {3});
    CHECK(!engine::file_exists(folder / "a.bin"));
  }
  CHECK(folder.files() == 0);
}

TEST_CASE("a shard that is written to while it is open is noticed, one that is replaced stays whole") {
  const TemporaryFolder folder;
  const std::string path = folder / "a.bin";
  const auto tokens = random_tokens(100, 50, 2);
  write(path, tokens, 50);
  const ShardReader reader(path);
  int32_t token;
  write(path, random_tokens(10, 50, 3), 50);  // renamed over: this reader keeps the old file
  CHECK_NOTHROW(reader.read(99, 1, &token));
  CHECK(token == tokens[99]);
  const ShardReader second(path);
  std::filesystem::resize_file(path, 90);
  CHECK_THROWS_WITH(second.read(0, 1, &token), Contains("changed while it was read"));
}

TEST_CASE("several shards are one stream") {
  const TemporaryFolder folder;
  const auto tokens = random_tokens(1000, 50, 4);
  size_t at = 0;
  for (int s = 0; s < 4; ++s) {
    const size_t n = s == 2 ? 0 : s == 3 ? 1000 - at : 300;
    write(folder / ("train-0000" + std::to_string(s) + ".bin"),
          std::vector<int32_t>(tokens.begin() + long(at), tokens.begin() + long(at + n)), 50);
    at += n;
  }
  write(folder / "valid-00000.bin", {1, 2, 3}, 50);
  const auto stream = TokenStream::open(folder / "train");
  REQUIRE(stream->size() == 1000);
  for (int64_t first : {0, 299, 300, 590, 999}) {
    const int64_t n = std::min<int64_t>(350, 1000 - first);
    std::vector<int32_t> out(static_cast<size_t>(n));
    stream->read(first, n, out.data());
    CHECK(std::equal(out.begin(), out.end(), tokens.begin() + first));
  }
  const auto units = stream->unit_lengths();
  CHECK(std::accumulate(units.begin(), units.end(), 0u) == 1000);
  CHECK(TokenStream::open(folder / "valid")->size() == 3);
  CHECK(TokenStream::open(folder / "valid-00000.bin")->size() == 3);
  // Training text and what is held out of it are no one stream.
  CHECK_THROWS_WITH(TokenStream::open(folder.path), Contains("holds the sets train or valid"));
  engine::make_directories(folder / "alone");
  write(folder / "alone/train-00000.bin", {1, 2}, 50);
  write(folder / "alone/train-00001.bin", {3}, 50);
  CHECK(TokenStream::open(folder / "alone")->size() == 3);
  CHECK_THROWS_WITH(TokenStream::open(folder / "test"), Contains("no token shard"));
  CHECK_THROWS_WITH(stream->check_tokenizer(hash_of(8)), Contains("another tokenizer"));
  CHECK_NOTHROW(stream->check_tokenizer(hash_of(7)));
  write(folder / "train-00009.bin", {1}, 50, {}, 8);
  CHECK_THROWS_WITH(TokenStream::open(folder / "train"), Contains("another tokenizer"));
}
