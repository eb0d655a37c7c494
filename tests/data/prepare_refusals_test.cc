// prepare: what it leaves alone, what it refuses, and inputs that change, wait or do not fit. Read first:
// prepare_support.h.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>

#include "data/byte_source.h"
#include "prepare_support.h"
#include "temporary_folder.h"

using namespace data;
using Catch::Matchers::Contains;

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
    std::filesystem::last_write_time(
        folder / "a.txt", std::filesystem::file_time_type::clock::now() + std::chrono::hours(hours));
  };
  rewrite(words(1, 5000), 5);
  CHECK(prepare(*tokenizer, {folder / "a.txt"}, options)[0].was_finished);
  std::string other = words(1, 5000);
  other[7] ^= 1;  // as many bytes, another text
  rewrite(other, 7);
  CHECK_THROWS_WITH(prepare(*tokenizer, {folder / "a.txt"}, options), Contains("\"source\" differs"));
}
