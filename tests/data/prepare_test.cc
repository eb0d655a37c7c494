// Text to shards: what tokens come out, which set they belong to, going on after a stop. Read first:
// prepare_support.h.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "data/corpus.h"
#include "prepare_support.h"
#include "shared_data.h"
#include "temporary_folder.h"

using namespace data;
using Catch::Matchers::Contains;

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
