// Token files of llm.c and nanoGPT as inputs of prepare. Read first: prepare_support.h.
#include <unistd.h>

#include <catch2/catch.hpp>

#include "prepare_support.h"
#include "temporary_folder.h"

using namespace data;
using Catch::Matchers::Contains;

TEST_CASE("token files of llm.c and nanoGPT come in with every id checked") {
  const TemporaryFolder folder;
  const auto tokenizer = bytes_with({"<|endoftext|>"});
  std::vector<uint16_t> ids;
  engine::Rng rng{5};
  for (int i = 0; i < 3'000'000; ++i) ids.push_back(rng.below(400) == 0 ? 256 : uint16_t(rng.below(256)));
  ids[0] = 256;
  const std::string body(reinterpret_cast<const char*>(ids.data()), ids.size() * 2);
  int32_t header[256] = {20240520, 1, int32_t(ids.size())};
  const std::string head(reinterpret_cast<const char*>(header), sizeof header);
  engine::write_file(folder / "x_val_0.bin", head + body);
  engine::write_file(folder / "train.bin", body);
  PrepareOptions options{.folder = folder / "out", .form = PrepareForm::llmc, .shard_tokens = 1'000'000};
  prepare(*tokenizer, {folder / "x_val_0.bin"}, options);
  options.form = PrepareForm::nanogpt;
  prepare(*tokenizer, {folder / "train.bin"}, options);
  const std::vector<TokenId> expected(ids.begin(), ids.end());
  CHECK(tokens_of(folder / "out/train") == expected);
  CHECK(tokens_of(folder / "out/valid") == expected);
  const auto separators = size_t(std::count(ids.begin(), ids.end(), 256));
  const size_t begins = TokenStream::open(folder / "out/valid")->unit_lengths().size();
  const size_t ends = TokenStream::open(folder / "out/train")->unit_lengths().size();
  CHECK(begins == separators);
  CHECK(ends == separators + (ids.back() == 256 ? 0 : 1));

  options = {.folder = folder / "bad", .form = PrepareForm::nanogpt};
  const auto bad = [&](const std::string& bytes) {
    engine::write_file(folder / "bad.bin", bytes);
    prepare(*tokenizer, {folder / "bad.bin"}, options);
  };
  CHECK_THROWS_WITH(bad("abc"), Contains("2-byte tokens"));
  CHECK_THROWS_WITH(bad(""), Contains("no tokens"));
  CHECK_THROWS_WITH(bad(std::string("\x01\x00\x02\x01", 4)),
                    Contains("token 1 is 258, outside the tokenizer's vocabulary of 257"));
  CHECK_THROWS_WITH(bad(head + body), Contains("--import llmc"));
  CHECK_THROWS_WITH(bad("\x93NUMPY\x01" + body.substr(0, 101)), Contains("NumPy"));
  options.form = PrepareForm::llmc;
  CHECK_THROWS_WITH(bad(body), Contains("not a token file of llm.c (magic "));
  CHECK_THROWS_WITH(bad(head + body + "xx"), Contains("too long"));
  CHECK_THROWS_WITH(bad(head), Contains("truncated"));
  CHECK_THROWS_WITH(bad("abc"), Contains("3 bytes"));
  header[1] = 2;
  CHECK_THROWS_WITH(bad(std::string(reinterpret_cast<const char*>(header), sizeof header) + body),
                    Contains("version 2"));
  const int32_t wide[260] = {20240801, 7, 4};
  std::string wide_body(reinterpret_cast<const char*>(wide), sizeof wide);
  wide_body[1024] = 'x', wide_body[1036] = 'y';
  bad(wide_body);
  CHECK(tokens_of(folder / "bad/train") == std::vector<TokenId>{'x', 0, 0, 'y'});
}

TEST_CASE("a vocabulary above 65536 takes 4 bytes a token") {
  const TemporaryFolder folder;
  std::string json =
      R"({"format": "normlab-tokenizer", "version": 1, "kind": "char", "special": [], "characters": [)";
  json += "\"\\n\"";
  for (uint32_t code = 0x20000; code < 0x20000 + 70000; ++code) {
    char text[16];
    std::snprintf(text, sizeof text, ",\"%c%c%c%c\"", 0xF0 | code >> 18, 0x80 | (code >> 12 & 63),
                  0x80 | (code >> 6 & 63), 0x80 | (code & 63));
    json += text;
  }
  const auto tokenizer = parse_tokenizer(json + "]}", "wide");
  engine::write_file(folder / "a.txt", "\xF0\xB1\x85\xAF\n");  // U+3116F, the last of them
  prepare(*tokenizer, {folder / "a.txt"}, {.folder = folder / "out", .form = PrepareForm::raw});
  CHECK(tokens_of(folder / "out/train") == std::vector<TokenId>{70000, 0});
  CHECK(ShardReader(folder / "out/train-00000.bin").info().token_bytes == 4);
  // nanoGPT's files of such a vocabulary have 4 bytes too.
  const uint32_t ids[] = {5, 69999, 7};
  engine::write_file(folder / "b.bin", std::string_view(reinterpret_cast<const char*>(ids), sizeof ids));
  prepare(*tokenizer, {folder / "b.bin"}, {.folder = folder / "wide", .form = PrepareForm::nanogpt});
  CHECK(tokens_of(folder / "wide/train") == std::vector<TokenId>{5, 69999, 7});
  engine::write_file(folder / "b.bin", "abcdef");
  CHECK_THROWS_WITH(
      prepare(*tokenizer, {folder / "b.bin"}, {.folder = folder / "odd", .form = PrepareForm::nanogpt}),
      Contains("4-byte tokens"));
}

TEST_CASE("nanoGPT's ids of 4 bytes are told by their empty halves where 2 bytes would do") {
  const TemporaryFolder folder;
  const auto tokenizer = bytes_with({"<|endoftext|>"});
  std::vector<TokenId> ids;
  for (uint32_t i = 0; i < 40; ++i) ids.push_back((7 * i) % 257);
  engine::write_file(folder / "a.bin",
                     std::string_view(reinterpret_cast<const char*>(ids.data()), ids.size() * 4));
  prepare(*tokenizer, {folder / "a.bin"}, {.folder = folder / "out", .form = PrepareForm::nanogpt});
  CHECK(tokens_of(folder / "out/train") == ids);
  const std::vector<uint16_t> zeros(40, 0);  // a token like any other
  engine::write_file(folder / "a.bin", std::string_view(reinterpret_cast<const char*>(zeros.data()), 80));
  prepare(*tokenizer, {folder / "a.bin"}, {.folder = folder / "zeros", .form = PrepareForm::nanogpt});
  CHECK(tokens_of(folder / "zeros/train").size() == 40);
}
