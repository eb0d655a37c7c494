// Text and foreign token files to shards: what tokens come out, resuming, refusals, a full disk.
#include "data/prepare.h"
#include "data/tokenizer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <numeric>
#include <thread>

#include "data/byte_source.h"
#include "data/corpus.h"
#include "data/token_stream.h"
#include "data/train_tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/philox.h"
#include "shared_data.h"
#include "temporary_folder.h"

using namespace data;
using Catch::Matchers::Contains;

namespace {

std::unique_ptr<Tokenizer> bytes_with(const std::vector<std::string>& special) {
  return train_tokenizer({}, {.kind = TokenizerKind::byte, .special = special});
}

std::vector<TokenId> tokens_of(const std::string& path) {
  const auto stream = TokenStream::open(path);
  std::vector<int32_t> out(static_cast<size_t>(stream->size()));
  stream->read(0, stream->size(), out.data());
  return {out.begin(), out.end()};
}

std::string words(uint64_t seed, int64_t bytes) {
  engine::Rng rng{seed};
  std::string out;
  while (int64_t(out.size()) < bytes) {
    for (uint64_t n = 1 + rng.below(9); n > 0; --n) out += char('a' + rng.below(26));
    out += rng.below(8) == 0 ? '\n' : ' ';
  }
  return out + "\n";
}

/// Documents of many sizes, one of them above 2 MiB, as a text file with separator lines.
std::string many_documents() {
  std::string out;
  for (uint64_t i = 0; i < 40; ++i)
    out += words(i, i == 7 ? 3 << 20 : int64_t(i * i * 50)) + (i < 39 ? "<|endoftext|>\n" : "");
  return out;
}

/// File name -> bytes, of the folder's shards.
std::map<std::string, std::string> shards_in(const std::string& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() != ".json")
      out[entry.path().filename().string()] = engine::read_file(entry.path().string());
  return out;
}

}  // namespace

TEST_CASE("documents are each followed by the end-of-document token") {
  const TemporaryFolder folder;
  const auto tokenizer = bytes_with({"<|endoftext|>"});
  engine::write_file(folder / "a.txt", "one\ntwo\n<|endoftext|>\nthree <|endoftext|> still three\n");
  engine::write_file(folder / "b.jsonl", "{\"text\": \"four\"}\n{\"text\": \"\"}\n");
  const auto sets = prepare(*tokenizer, {folder / "a.txt", folder / "b.jsonl"}, {.folder = folder / "out"});
  REQUIRE(sets.size() == 1);
  CHECK(sets[0].name == folder / "out/train");
  const std::string text = tokenizer->decode(tokens_of(folder / "out/train"));
  CHECK(text == "one\ntwo\n<|endoftext|>three <|endoftext|> still three\n<|endoftext|>four<|endoftext|>");
  const auto stream = TokenStream::open(folder / "out/train");
  CHECK(stream->unit_lengths().size() == 3);
  CHECK(stream->separator() == 256);
  CHECK(stream->vocabulary() == 257);
  CHECK(load_tokenizer(folder / "out")->hash() == tokenizer->hash());
  CHECK_NOTHROW(stream->check_tokenizer(hash_bytes(tokenizer->hash())));
  // Text cannot smuggle in an end: the one inside a line is 13 bytes. On request it is the token.
  CHECK(stream->size() == 8 + 1 + 32 + 1 + 4 + 1);
  prepare(*tokenizer, {folder / "a.txt"}, {.folder = folder / "special", .special = SpecialText::recognised});
  CHECK(TokenStream::open(folder / "special/train")->size() == 8 + 1 + 32 - 12 + 1);
}

TEST_CASE("lines as units are encoded alone and stripped, blank ones left out") {
  const TemporaryFolder folder;
  const auto tokenizer = bytes_with({"<s>", "</s>"});
  engine::write_file(folder / "a.txt", "one\n\n two  \r\n \n<|endoftext|>\nthree\rfour\u00a0\n\u3000\f\n");
  prepare(*tokenizer, {folder / "a.txt"}, {.folder = folder / "out", .units = Units::line});
  CHECK(tokenizer->decode(tokens_of(folder / "out/train")) == "one</s>two</s>three</s>four</s>");
  CHECK(TokenStream::open(folder / "out/train")->unit_lengths() == std::vector<uint32_t>{4, 4, 6, 5});
}

TEST_CASE("without a special token kind word relies on its line ends, other kinds on a newline") {
  const TemporaryFolder folder;
  engine::write_file(folder / "a.txt", "a b\n<|endoftext|>\nb a\n");
  const std::string_view text = "a b\nb a\n";
  const auto word = train_tokenizer(std::span(&text, 1), {.kind = TokenizerKind::word});
  prepare(*word, {folder / "a.txt"}, {.folder = folder / "word"});
  CHECK(word->decode(tokens_of(folder / "word/train")) == "a b\nb a\n");
  prepare(*word, {folder / "a.txt"}, {.folder = folder / "lines", .units = Units::line});
  CHECK(tokens_of(folder / "lines/train") == tokens_of(folder / "word/train"));
  const auto characters = train_tokenizer(std::span(&text, 1), {.kind = TokenizerKind::character});
  prepare(*characters, {folder / "a.txt"}, {.folder = folder / "char"});
  CHECK(characters->decode(tokens_of(folder / "char/train")) == "a b\n\nb a\n\n");
  const std::string_view line = "ab";
  const auto bare = train_tokenizer(std::span(&line, 1), {.kind = TokenizerKind::character});
  const auto unknown =
      train_tokenizer(std::span(&line, 1), {.kind = TokenizerKind::character, .special = {"<unk>"}});
  for (const auto* none : {bare.get(), unknown.get()})
    CHECK_THROWS_WITH(prepare(*none, {folder / "a.txt"}, {.folder = folder / "bare"}),
                      Contains("no token to end documents with") && Contains("--raw"));
}

TEST_CASE("a raw file is its characters in order, cut where nanoGPT cuts") {
  const TemporaryFolder folder;
  const std::string text = "<|endoftext|>\nz\xC3\xA9ro\n\n\xE2\x82\xAC uro  9\n";  // 29 characters
  const std::string_view view = text;
  engine::write_file(folder / "input.txt", text);
  const auto tokenizer = train_tokenizer(std::span(&view, 1), {.kind = TokenizerKind::character});
  prepare(*tokenizer, {folder / "input.txt"}, {.folder = folder / "all", .form = PrepareForm::raw});
  CHECK(tokenizer->decode(tokens_of(folder / "all/train")) == text);
  prepare(*tokenizer, {folder / "input.txt"},
          {.folder = folder / "cut", .form = PrepareForm::raw, .valid = 0.1});
  CHECK(tokens_of(folder / "cut/train").size() == 26);  // int(0.9 * 29)
  CHECK(tokenizer->decode(tokens_of(folder / "cut/train")) +
            tokenizer->decode(tokens_of(folder / "cut/valid")) ==
        text);
  const std::string path = shared_path("data/tinyshakespeare/input.txt");
  if (path.empty()) return;
  const std::string play = engine::read_file(path);
  const std::string_view plays = play;
  const auto letters = train_tokenizer(std::span(&plays, 1), {.kind = TokenizerKind::character});
  CHECK(letters->vocab_size() == 65);
  prepare(*letters, {path}, {.folder = folder / "play", .form = PrepareForm::raw, .valid = 0.1});
  CHECK(tokens_of(folder / "play/train").size() == 1003854);  // nanoGPT's counts
  CHECK(tokens_of(folder / "play/valid").size() == 111540);
}

TEST_CASE("a file's set is the last word of its name that says so") {
  CHECK(set_of_file("a/train.txt") == "train");
  CHECK(set_of_file("wiki.valid.tokens") == "valid");
  CHECK(set_of_file("fineweb_val_000000.bin") == "valid");
  CHECK(set_of_file("test/Dev-02.jsonl.gz") == "valid");
  CHECK(set_of_file("my test") == "test");
  CHECK(set_of_file("latest.txt") == "train");
  CHECK(set_of_file("eval.jsonl") == "valid");
  CHECK(set_of_file("medieval.txt") == "train");
}

TEST_CASE("a corpus folder gives its three sets") {
  const TemporaryFolder folder;
  CorpusBuilder builder({}, folder / "corpus");
  for (uint64_t i = 0; i < 50; ++i) builder.add({words(i, 200), "test"});
  builder.write({"test", "none", {}});
  const auto sets = prepare(*bytes_with({"<|endoftext|>"}), {folder / "corpus"}, {.folder = folder / "out"});
  REQUIRE(sets.size() == 3);
  int64_t units = 0;
  for (const auto& set : sets) units += set.units;
  CHECK(units == 50);
  CHECK(sets[1].name == folder / "out/valid");
}

TEST_CASE("a folder whose files' names say train and valid is split by them, any other is one input") {
  const TemporaryFolder folder;
  const auto tokenizer = bytes_with({"<|endoftext|>"});
  const auto made = [&](const std::vector<std::string>& files) {
    std::filesystem::remove_all(folder / "in");
    std::filesystem::create_directory(folder / "in");
    for (const std::string& file : files) std::ofstream(folder / "in/" + file) << file;
    std::vector<std::string> names;
    for (const PreparedSet& set :
         prepare(*tokenizer, {folder / "in"}, {.folder = folder / "out", .existing = Existing::replace}))
      names.push_back(set.name.substr(set.name.rfind('/') + 1) + " " + std::to_string(set.units));
    return names;
  };
  using Names = std::vector<std::string>;
  CHECK(made({"wiki.train.txt", "wiki.valid.txt"}) == Names{"train 1", "valid 1"});
  CHECK(made({"train-0.txt", "train-1.txt", "dev.txt", "test.txt"}) == Names{"valid 1", "test 1", "train 2"});
  CHECK(made({"a.txt", "test.txt"}) == Names{"train 2"});
  CHECK_THROWS_WITH(made({"readme.txt", "train.txt", "valid.txt"}),
                    Contains("in/readme.txt does not; name the files one by one"));
}

TEST_CASE("shards do not depend on threads, hold whole units, and cut only what fits into none", "[medium]") {
  const TemporaryFolder folder;
  engine::write_file(folder / "a.txt", many_documents());
  const auto tokenizer = bytes_with({"<|endoftext|>"});
  for (const Units units : {Units::document, Units::line}) {
    const std::string out = folder / (units == Units::line ? "line" : "document");
    PrepareOptions options{.folder = out + "1", .units = units, .shard_tokens = 100'000, .threads = 1};
    prepare(*tokenizer, {folder / "a.txt"}, options);
    options.folder = out + "4", options.threads = 4;
    prepare(*tokenizer, {folder / "a.txt"}, options);
    const auto one = shards_in(out + "1");
    CHECK(one.size() > 30);
    CHECK(one == shards_in(out + "4"));
    options.folder = out, options.shard_tokens = 1 << 30;
    prepare(*tokenizer, {folder / "a.txt"}, options);
    CHECK(tokens_of(out + "/train") == tokens_of(out + "1/train"));
    const size_t whole = TokenStream::open(out + "/train")->unit_lengths().size();
    const size_t cuts = TokenStream::open(out + "1/train")->unit_lengths().size() - whole;
    CHECK(cuts == (units == Units::line ? 0 : 31));  // of the 3 MiB document
    for (const auto& [name, bytes] : one) CHECK(ShardReader(out + "1/" + name).info().tokens <= 100'000);
  }
}

TEST_CASE("a stopped run goes on where it was and gives the same bytes", "[medium]") {
  const TemporaryFolder folder;
  std::string input;
  for (uint64_t i = 0; i < 12; ++i) input += words(i, 4 << 20) + "<|endoftext|>\n";
  engine::write_file(folder / "a.txt", input);
  const auto tokenizer = bytes_with({"<|endoftext|>"});
  PrepareOptions options{.folder = folder / "once", .shard_tokens = 3'000'000};
  prepare(*tokenizer, {folder / "a.txt"}, options);
  options.folder = folder / "twice";
  int64_t first = 0, second = 0;
  struct Stop {};
  options.progress = [&](const PrepareProgress& p) {
    first = p.tokens;
    if (p.tokens > 20'000'000) throw Stop{};
  };
  CHECK_THROWS_AS(prepare(*tokenizer, {folder / "a.txt"}, options), Stop);
  CHECK(shards_in(folder / "twice").size() >= 5);
  CHECK(!shards_in(folder / "twice").contains("train-00016.bin"));
  engine::write_file(folder / "twice/train-00099.bin", "left over");
  options.progress = [&](const PrepareProgress& p) { second = p.tokens; };
  prepare(*tokenizer, {folder / "a.txt"}, options);
  CHECK(shards_in(folder / "twice") == shards_in(folder / "once"));
  CHECK(second < 40'000'000);  // finished shards were not encoded again
  CHECK(prepare(*tokenizer, {folder / "a.txt"}, options)[0].was_finished);
  std::filesystem::remove(folder / "twice/train-00003.bin");  // it and what follows are made again
  CHECK(!prepare(*tokenizer, {folder / "a.txt"}, options)[0].was_finished);
  CHECK(shards_in(folder / "twice") == shards_in(folder / "once"));
}

TEST_CASE("shards that were made from something else stay, unless they may be replaced") {
  const TemporaryFolder folder;
  engine::write_file(folder / "a.txt", words(1, 5000));
  engine::write_file(folder / "b.txt", words(2, 500));
  const auto tokenizer = bytes_with({"<|endoftext|>"}), other = bytes_with({"</s>"});
  PrepareOptions options{.folder = folder / "out", .shard_tokens = 1000};
  prepare(*tokenizer, {folder / "a.txt"}, options);
  const auto before = shards_in(folder / "out");
  CHECK_THROWS_WITH(prepare(*other, {folder / "a.txt"}, options), Contains("another tokenizer"));
  CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "b.txt"}, options),
                    Contains("made from something else (\"source\" differs)"));
  options.shard_tokens = 2000;
  CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "a.txt"}, options), Contains("\"shard_tokens\""));
  engine::write_file(folder / "out/train.json", "{\"format\": \"normlab-shards\", \"shards\": 3}");
  CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "a.txt"}, options), Contains("damaged"));
  std::filesystem::remove(folder / "out/train.json");
  CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "a.txt"}, options),
                    Contains("no train.json says what it was made from"));
  CHECK(shards_in(folder / "out") == before);
  options.existing = Existing::replace;
  prepare(*other, {folder / "b.txt"}, options);
  CHECK(shards_in(folder / "out").size() == 1);
  CHECK(load_tokenizer(folder / "out")->hash() == other->hash());
}

TEST_CASE("what is read is never replaced, and what is written never read") {
  const TemporaryFolder folder;
  const auto tokenizer = bytes_with({"<|endoftext|>"});
  const std::string documents = "[{\"text\": \"one\"}]", ids("a\0b\0", 4);
  engine::make_directories(folder / "in");
  engine::write_file(folder / "in/train.json", documents);
  engine::write_file(folder / "in/train-000001.bin", ids);
  std::filesystem::create_symlink(folder / "in/train.json", folder / "link.json");
  for (const Existing existing : {Existing::keep, Existing::replace}) {
    PrepareOptions options{.folder = folder / "in", .existing = existing};
    CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "in/train.json"}, options),
                      Contains("in/train.json: would be replaced") && Contains("a file train.json"));
    CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "link.json"}, options),
                      Contains("link.json: would be replaced"));
    options.form = PrepareForm::nanogpt;
    CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "in/train-000001.bin"}, options),
                      Contains("train-000001.bin: would be replaced"));
  }
  CHECK(engine::read_file(folder / "in/train.json") == documents);
  CHECK(engine::read_file(folder / "in/train-000001.bin") == ids);
  engine::make_directories(folder / "texts");
  engine::write_file(folder / "texts/a.txt", "one\n");
  for (const std::string out : {"texts", "texts/tokens", "texts/none/tokens/"})
    CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "texts"}, {.folder = folder / out}),
                      Contains("lies in the input"));
  CHECK(prepare(*tokenizer, {folder / "texts"}, {.folder = folder / "texts/.tokens"})[0].tokens == 5);
  CHECK(prepare(*tokenizer, {folder / "texts/a.txt"}, {.folder = folder / "texts"})[0].tokens == 5);
}

TEST_CASE("files of others under the names of a set are left alone") {
  const TemporaryFolder folder;
  const auto tokenizer = bytes_with({"<|endoftext|>"});
  engine::write_file(folder / "valid.txt", "one\n");
  engine::make_directories(folder / "out");
  engine::write_file(folder / "out/valid-7.bin", "tokens of another program");
  CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "valid.txt"}, {.folder = folder / "out"}),
                    Contains("out/valid-7.bin: exists, and no valid.json says what it was made from"));
  CHECK(engine::read_file(folder / "out/valid-7.bin") == "tokens of another program");
  engine::make_directories(folder / "texts");
  for (const std::string text : {"[{\"text\": \"one\"}]", "no JSON", ""}) {
    engine::write_file(folder / "texts/valid.json", text);
    for (const Existing existing : {Existing::keep, Existing::replace})
      CHECK_THROWS_WITH(
          prepare(*tokenizer, {folder / "valid.txt"}, {.folder = folder / "texts", .existing = existing}),
          Contains("texts/valid.json: is no record of shards"));
    CHECK(engine::read_file(folder / "texts/valid.json") == text);
    CHECK(!engine::file_exists(folder / "texts/tokenizer.json"));
  }
}

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

TEST_CASE("raw files must be text, except for a tokenizer of bytes") {
  const TemporaryFolder folder;
  const std::string noise("\x01\x02\0\xff", 4);
  engine::write_file(folder / "a.bin", noise);
  prepare(*bytes_with({}), {folder / "a.bin"}, {.folder = folder / "out", .form = PrepareForm::raw});
  CHECK(tokens_of(folder / "out/train") == std::vector<TokenId>{1, 2, 0, 255});
  const auto characters = parse_tokenizer(
      R"({"format": "normlab-tokenizer", "version": 1, "kind": "char", "special": [], "characters": ["\n", "a"]})",
      "c");
  CHECK_THROWS_WITH(
      prepare(*characters, {folder / "a.bin"}, {.folder = folder / "no", .form = PrepareForm::raw}),
      Contains("this is not text"));
}

TEST_CASE("what cannot be prepared is one clear line") {
  const TemporaryFolder folder;
  const auto tokenizer = bytes_with({"<|endoftext|>"});
  const PrepareOptions options{.folder = folder / "out"};
  CHECK_THROWS_WITH(prepare(*tokenizer, {}, options), Contains("no input"));
  CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "none"}, options), Contains("none: no such file"));
  engine::write_file(folder / "a.txt", "");
  CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "a.txt"}, options), Contains("the input is empty"));
  CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "a.txt"}, {.folder = folder / "out", .valid = 0.1}),
                    Contains("--valid cuts raw files"));
  CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "a.txt"},
                            {.folder = folder / "out", .form = PrepareForm::raw, .units = Units::line}),
                    Contains("units are lines only"));
  CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "a.txt"}, {.folder = folder / "a.txt"}), Contains("a.txt"));
  CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "a.txt"}, {.folder = folder / "out", .shard_tokens = 0}),
                    Contains("at least 1 token"));
  const std::string_view text = "ab\n";
  const auto letters = train_tokenizer(std::span(&text, 1), {.kind = TokenizerKind::character});
  engine::write_file(folder / "b.txt", "ab\n<|endoftext|>\nac\n");
  CHECK_THROWS_WITH(prepare(*letters, {folder / "b.txt"}, {.folder = folder / "letters"}),
                    Contains("b.txt:3: encode: the character \"c\""));
}

TEST_CASE("an input that changes while it is read is named, and leaves no shard") {
  const TemporaryFolder folder;
  const auto tokenizer = bytes_with({"<|endoftext|>"});
  const std::string path = folder / "train.bin";
  PrepareOptions options{.folder = folder / "out", .existing = Existing::replace};
  bool changed = false;
  const auto refused = [&](PrepareForm form, const std::string& text, const std::function<void()>& change) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
    changed = false;
    options.form = form;
    options.progress = [&](const PrepareProgress&) {  // called once some of the input has been encoded
      if (!std::exchange(changed, true)) change();
    };
    CHECK_THROWS_WITH(prepare(*tokenizer, {path}, options),
                      Contains("train.bin: ") && Contains("while it was read"));
    CHECK(changed);
    CHECK(shards_in(folder / "out").empty());
    CHECK(!engine::file_exists(folder / "out/train.json"));
  };
  const auto grow = [&] { std::ofstream(path, std::ios::app) << "more"; };
  const auto shrink = [&] { std::filesystem::resize_file(path, 1'000'000); };
  std::string documents(17 << 20, 'x');  // text is encoded 16 MiB at a time
  documents.replace(documents.size() - (512 << 10), 15, "\n<|endoftext|>\n");
  for (const std::function<void()>& change : {std::function<void()>(grow), std::function<void()>(shrink)}) {
    refused(PrepareForm::documents, documents, change);
    refused(PrepareForm::nanogpt, std::string(5 << 20, '\0'), change);
  }
  // Cut in two, the file is read twice: it has to be the same one both times.
  options.valid = 0.5;
  refused(PrepareForm::raw, std::string(100'000, 'x'), grow);
}

TEST_CASE("a named pipe is read as the file that goes through it, and waited for") {
  const TemporaryFolder folder;
  const auto tokenizer = bytes_with({"<|endoftext|>"});
  const std::string text = words(3, 200'000), pipe = folder / "pipe.txt";
  engine::write_file(folder / "file.txt", text);
  prepare(*tokenizer, {folder / "file.txt"}, {.folder = folder / "a"});
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  std::thread writer([&] {
    ::usleep(50'000);
    std::ofstream(pipe) << text;
  });
  prepare(*tokenizer, {pipe}, {.folder = folder / "b"});
  writer.join();
  CHECK(tokens_of(folder / "a/train") == tokens_of(folder / "b/train"));
  // What comes next through it may be anything: the set that is there is not taken for it.
  CHECK_THROWS_WITH(prepare(*tokenizer, {pipe}, {.folder = folder / "b"}),
                    Contains("a stream, of which nobody can tell whether it is the same"));
  // Where a pipe would be read twice, or is not a text that a person named, it is refused at once.
  CHECK_THROWS_WITH(
      prepare(*tokenizer, {pipe}, {.folder = folder / "c", .form = PrepareForm::raw, .valid = 0.1}),
      Contains("pipe.txt: not a regular file"));
  CHECK_THROWS_WITH(prepare(*tokenizer, {pipe}, {.folder = folder / "d", .form = PrepareForm::nanogpt}),
                    Contains("pipe.txt: not a regular file"));
  CHECK_THROWS_WITH(LineReader(pipe), Contains("pipe.txt: not a regular file"));
  CHECK_THROWS_WITH(load_tokenizer(pipe), Contains("pipe.txt: not a regular file"));
}

TEST_CASE("a text that does not fit into memory ends in one line", "[medium]") {
  const TemporaryFolder folder;
  // 600 MB of one line in 600 kB; the address space is limited to 1 GB.
  const std::string command =
      "cd '" + folder.path + "' && head -c 600000000 /dev/zero | tr '\\0' a | gzip -1 > a.txt.gz && '" +
      BINARY_DIR
      "/normlab' tokenizer train --kind byte --out tok 2>/dev/null < /dev/null && ulimit -v 1000000 && '" +
      BINARY_DIR "/normlab' prepare --tokenizer tok --input a.txt.gz --out set > log 2>&1";
  const int status = std::system(command.c_str());
  CHECK(WEXITSTATUS(status) == 2);
  CHECK_THAT(engine::read_file(folder / "log"), Contains("which has to fit into memory whole"));
}

TEST_CASE("a file that was written again with the same content is the same source") {
  const TemporaryFolder folder;
  const auto tokenizer = bytes_with({"<|endoftext|>"});
  const PrepareOptions options{.folder = folder / "out"};
  engine::write_file(folder / "a.txt", words(1, 5000));
  prepare(*tokenizer, {folder / "a.txt"}, options);
  const auto rewrite = [&](const std::string& text, int hours) {
    engine::write_file(folder / "a.txt", text);
    std::filesystem::last_write_time(folder / "a.txt", std::filesystem::file_time_type::clock::now() +
                                                           std::chrono::hours(hours));
  };
  rewrite(words(1, 5000), 5);
  CHECK(prepare(*tokenizer, {folder / "a.txt"}, options)[0].was_finished);
  std::string other = words(1, 5000);
  other[7] ^= 1;  // as many bytes, another text
  rewrite(other, 7);
  CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "a.txt"}, options), Contains("\"source\" differs"));
}
