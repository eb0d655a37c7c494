// What eval ppl scores: the tokens of a text are those that prepare writes for it.
#include "train/evaluation/material.h"
#include "data/train_tokenizer.h"

#include <zlib.h>

#include <catch2/catch.hpp>

#include "data/prepare.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "temporary_folder.h"

using namespace train;
using Catch::Matchers::Contains;
using Ids = std::vector<int32_t>;

namespace {

OpenModel model_with(const char* objective, const std::vector<std::string>& special) {
  OpenModel open{.folder = "test"};
  open.tokenizer = data::train_tokenizer({}, {.kind = data::TokenizerKind::byte, .special = special});
  open.vocabulary = int64_t(open.tokenizer->vocab_size());
  open.model = std::make_unique<models::Transformer>(
      models::model_config_from_section({{"objective", objective},
                                         {"vocab_size", open.vocabulary},
                                         {"context", 8},
                                         {"layers", 1},
                                         {"width", 8},
                                         {"heads", 1},
                                         {"ffn_width", 8},
                                         {"norms", "pre_ln"},
                                         {"activation", "gelu"},
                                         {"positions", "learned"}},
                                        "test"),
      nn::Precision::of(engine::DType::f32), nn::Gradients::none);
  return open;
}

Ids ids_of(const data::TokenStream& stream) {
  Ids out(size_t(stream.size()));
  stream.read(0, stream.size(), out.data());
  return out;
}

/// The bytes of `text`, with `end` in place of '|'.
Ids bytes_of(const std::string& text, int32_t end) {
  Ids out;
  for (const char c : text) out.push_back(c == '|' ? end : int32_t(uint8_t(c)));
  return out;
}

void write_gzip(const std::string& path, const std::string& text) {
  const gzFile file = gzopen(path.c_str(), "wb");
  REQUIRE(gzwrite(file, text.data(), unsigned(text.size())) == int(text.size()));
  gzclose(file);
}

}  // namespace

TEST_CASE("a causal model reads each document behind the token that parts them, however the text is packed") {
  const TemporaryFolder folder;
  const OpenModel open = model_with("clm", {"<|endoftext|>"});
  const auto read = [&](const std::string& path, const std::string& field = "text") {
    return open_material(path, open, {field});
  };
  engine::write_file(folder / "a.txt", "one two\n<|endoftext|>\nthree\n");
  const Material text = read(folder / "a.txt");
  CHECK(ids_of(*text.tokens) == bytes_of("|one two\n|three\n", 256));
  CHECK(text.text.bytes == 14);  // a separator line is no text
  CHECK(text.text.words == 3);
  write_gzip(folder / "a.gz", "one two\n<|endoftext|>\nthree\n");
  CHECK(ids_of(*read(folder / "a.gz").tokens) == ids_of(*text.tokens));
  engine::write_file(folder / "a.jsonl",
                     "{\"text\": \"one\", \"body\": \"x\"}\n{\"text\": \"two\", \"body\": \"y\"}\n");
  CHECK(ids_of(*read(folder / "a.jsonl").tokens) == bytes_of("|one|two", 256));
  CHECK(ids_of(*read(folder / "a.jsonl", "body").tokens) == bytes_of("|x|y", 256));
  engine::make_directories(folder / "texts");
  engine::write_file(folder / "texts/1.txt", "one\n");
  engine::write_file(folder / "texts/2.txt", "two\n");
  CHECK(ids_of(*read(folder / "texts").tokens) == bytes_of("|one\n|two\n", 256));
}

TEST_CASE("without a token that ends documents a newline parts them") {
  const TemporaryFolder folder;
  const OpenModel open = model_with("clm", {});
  engine::write_file(folder / "a.jsonl", "{\"text\": \"one\"}\n{\"text\": \"two\"}\n");
  CHECK(ids_of(*open_material(folder / "a.jsonl", open, {}).tokens) == bytes_of("one\ntwo", 0));
}

TEST_CASE("a masked LM's text has the units that prepare makes of its lines") {
  const TemporaryFolder folder;
  const OpenModel open = model_with("mlm", {"<s>", "<pad>", "</s>", "<mask>"});
  engine::write_file(folder / "a.txt", " one\r\n\n two  \n<|endoftext|>\nthree");
  data::prepare(*open.tokenizer, {folder / "a.txt"}, {.folder = folder / "out", .units = data::Units::line});
  const auto shards = data::TokenStream::open(folder / "out/train");
  const Material text = open_material(folder / "a.txt", open, {});
  CHECK(ids_of(*text.tokens) == ids_of(*shards));
  CHECK(text.tokens->unit_lengths() == shards->unit_lengths());
  CHECK(text.tokens->separator() == shards->separator());
}

TEST_CASE("what is no text is not scored as one") {
  const TemporaryFolder folder;
  const OpenModel open = model_with("clm", {"<|endoftext|>"});
  const auto read = [&](const std::string& path) { return open_material(path, open, {}); };
  engine::write_file(folder / "a.txt", "some text\n");
  data::prepare(*open.tokenizer, {folder / "a.txt"}, {.folder = folder / "out"});
  CHECK(std::string(read(folder / "out").kind) == "shards");
  CHECK(read(folder / "out/train").text.bytes == 10);
  std::string shard = engine::read_file(folder / "out/train-00000.bin");
  shard[0] = 'X';  // damaged where it says what it is
  engine::write_file(folder / "out/train-00000.bin", shard);
  CHECK_THROWS_WITH(read(folder / "out/train-00000.bin"), Contains("train-00000.bin"));
  engine::write_file(folder / "b.txt", shard);
  CHECK_THROWS_WITH(read(folder / "b.txt"), Contains("not text"));
  engine::write_file(folder / "empty.txt", "");
  CHECK_THROWS_WITH(read(folder / "empty.txt"), Contains("no text in it"));
  CHECK_THROWS_WITH(read(folder / "none.txt"), Contains("no token shard there"));
  engine::make_directories(folder / "sets");
  engine::write_file(folder / "sets/train.txt", "one\n");
  engine::write_file(folder / "sets/test.txt", "two\n");
  CHECK_THROWS_WITH(read(folder / "sets"), Contains("name one file"));
}
