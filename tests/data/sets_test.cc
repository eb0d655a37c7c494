// Sets of files that belong together, shards and corpora: a set that was stopped, or of which a file was lost
// or put in another one's place, is refused where it is used; what killed commands leave, the same command
// mends.
#include <catch2/catch.hpp>
#include <set>

#include "data/corpus.h"
#include "data/prepare.h"
#include "data/shard_record.h"
#include "data/token_stream.h"
#include "data/train_tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "killed.h"
#include "temporary_folder.h"

using namespace data;
using Catch::Matchers::Contains;
using engine::Json;

namespace {

/// Two prepared sets of several shards each, from two texts.
struct Sets {
  Sets() {
    engine::write_file(folder / "a.txt", text('a'));
    engine::write_file(folder / "b.txt", text('n'));
    make("a", "set");
    make("b", "other");
  }
  static std::string text(char first) {
    std::string out;
    for (int i = 0; i < 4000; ++i) out += i % 7 == 6 ? ' ' : char(first + i * i % 13);
    return out + "\n";
  }
  PrepareOptions options(const std::string& out) const {
    PrepareOptions options;
    options.folder = folder / out;
    options.shard_tokens = 1000;
    options.threads = 1;
    return options;
  }
  void make(const std::string& input, const std::string& out, Existing existing = Existing::keep) const {
    PrepareOptions o = options(out);
    o.existing = existing;
    prepare(*tokenizer, {folder / (input + ".txt")}, o);
  }
  std::string shard(const std::string& set, int number) const {
    return folder / (set + "/train-0000" + std::to_string(number) + ".bin");
  }
  void edit_record(const std::function<void(Json&)>& edit) const {
    Json record = engine::read_json(record_path);
    edit(record);
    engine::write_file(record_path, engine::json_text(record));
  }
  void refused(const std::string& reason) const {
    CHECK_THROWS_WITH(TokenStream::open(folder / "set/train"), Contains(reason));
    CHECK_THROWS_WITH(TokenStream::open(folder / "set"), Contains(reason));
  }

  TemporaryFolder folder;
  std::unique_ptr<Tokenizer> tokenizer =
      train_tokenizer({}, {.kind = TokenizerKind::byte, .special = {"<|endoftext|>"}});
  std::string record_path = folder / "set/train.json";
};

void copy(const std::string& from, const std::string& to) { engine::write_file(to, engine::read_file(from)); }

std::vector<Document> stories(int count) {
  std::vector<Document> out;
  for (int i = 0; i < count; ++i) out.push_back({"story " + std::to_string(i) + " of many\n", "here"});
  return out;
}

void build_corpus(const std::string& folder, uint64_t seed, int count = 200) {
  CorpusBuilder builder({.seed = seed}, folder);
  for (Document& document : stories(count)) builder.add(std::move(document));
  builder.write({"test", "none", Json::array()});
}

/// No document in two files, or the folder is refused.
bool corpus_is_whole_or_refused(const std::string& folder) {
  std::vector<std::string> files;
  try {
    files = files_of_sets(folder);
  } catch (const engine::Error&) {
    return true;
  }
  std::multiset<std::string> seen;
  for (const std::string& file : files)
    read_documents(file, {}, [&](Document&& document) { seen.insert(document.text); });
  return seen.size() == std::set<std::string>(seen.begin(), seen.end()).size();
}

}  // namespace

TEST_CASE("the set of a shard's name") {
  CHECK(set_of_shard("train-00003.bin") == "train");
  CHECK(set_of_shard("a-b-1.bin") == "a-b");
  for (const char* name : {"train.bin", "train-.bin", "train-x.bin", "train-00003.bin.gz", "-", ""})
    CHECK(set_of_shard(name) == "");
}

TEST_CASE("a whole set opens, its shards one by one too, sets without a record as well") {
  const Sets sets;
  CHECK(TokenStream::open(sets.folder / "set/train")->size() ==
        TokenStream::open(sets.folder / "set")->size());
  CHECK(TokenStream::open(sets.shard("set", 1))->size() > 0);
  engine::remove_file(sets.record_path);
  CHECK(TokenStream::open(sets.folder / "set/train")->size() > 3000);
}

TEST_CASE("a set that its record contradicts is refused") {
  const Sets sets;
  SECTION("a shard is missing, in the middle or at the end") {
    const int number = GENERATE(0, 1, 3);
    engine::remove_file(sets.shard("set", number));
    sets.refused("train-0000" + std::to_string(number) + ".bin is missing");
  }
  SECTION("two shards changed places") {
    const std::string kept = engine::read_file(sets.shard("set", 2));
    copy(sets.shard("set", 1), sets.shard("set", 2));
    sets.refused("train-00002.bin: is not the shard that");
    engine::write_file(sets.shard("set", 1), kept);
    sets.refused("train-00001.bin: is not the shard that");
    CHECK_THROWS_WITH(TokenStream::open(sets.shard("set", 1)), Contains("is not the shard that"));
  }
  SECTION("a shard of another set") {
    copy(sets.shard("other", 1), sets.shard("set", 1));
    sets.refused("train-00001.bin: is not the shard that");
    engine::remove_file(sets.shard("set", 1));
  }
  SECTION("one shard more") {
    copy(sets.shard("other", 1), sets.shard("set", 7));
    sets.refused("train-00007.bin: is no shard of the set that");
  }
  SECTION("not finished") {
    sets.edit_record([](Json& record) { record["finished"] = false; });
    sets.refused("the set is not finished");
    CHECK(TokenStream::open(sets.shard("set", 1))->size() > 0);
  }
  SECTION("a damaged record") {
    sets.edit_record([](Json& record) { record["shards"][1].erase("checksum"); });
    sets.refused("train.json: \"shards\" is damaged");
  }
}

TEST_CASE("prepare goes on from a record without shards and from shards that no record names yet") {
  const Sets sets;
  const std::string whole = engine::read_file(sets.record_path),
                    first = engine::read_file(sets.shard("set", 0));
  sets.edit_record([](Json& record) { record["finished"] = false, record["shards"] = Json::array(); });
  sets.make("a", "set");
  CHECK(engine::read_file(sets.record_path) == whole);
  CHECK(engine::read_file(sets.shard("set", 0)) == first);
}

TEST_CASE("a second prepare into the same folder is refused while the first is at work") {
  const Sets sets;
  const engine::FolderLock other(sets.folder / "set");
  CHECK_THROWS_WITH(sets.make("b", "set", Existing::replace),
                    Contains("another process is writing into this folder"));
}

TEST_CASE("inputs whose names are not UTF-8 are the same inputs the next time") {
  const Sets sets;
  const std::string input = sets.folder / "caf\xe9.txt";
  engine::write_file(input, Sets::text('a'));
  for (int time = 0; time < 2; ++time) {
    const auto made = prepare(*sets.tokenizer, {input}, sets.options("named"));
    CHECK(made[0].was_finished == (time == 1));
  }
}

TEST_CASE("prepare that is killed at any moment is mended by the same prepare", "[medium]") {
  const Sets sets;
  const auto force = [&](const std::string& input) { sets.make(input, "set", Existing::replace); };
  int kills = 0;
  for (useconds_t delay = 0; delay < 60; ++delay) {
    kills += killed(delay * 400, [&] { force("b"); });
    try {  // the old set, the new one, or a refusal
      const int64_t tokens = TokenStream::open(sets.folder / "set/train")->size();
      CHECK((tokens == TokenStream::open(sets.folder / "other/train")->size()));
    } catch (const engine::Error&) {
    }
    force("b");
    for (int shard = 0; shard < 4; ++shard)
      CHECK(engine::read_file(sets.shard("set", shard)) == engine::read_file(sets.shard("other", shard)));
    CHECK(engine::list_folder(sets.folder / "set") == engine::list_folder(sets.folder / "other"));
    force("a");
  }
  CHECK(kills > 5);
}

TEST_CASE("a corpus of which a file was changed or replaced is refused") {
  const TemporaryFolder folder;
  build_corpus(folder / "c", 1);
  build_corpus(folder / "d", 2);
  CHECK(files_of_sets(folder / "c").size() == 3);
  SECTION("half of another split") {
    copy(folder / "d/train.txt", folder / "c/train.txt");
    CHECK_FALSE(engine::read_file(folder / "c/train.txt") == "");
    CHECK_THROWS_WITH(files_of_sets(folder / "c"), Contains("train.txt: is not the file that manifest.json"));
  }
  SECTION("a file is gone") {
    engine::remove_file(folder / "c/valid.txt");
    CHECK_THROWS_WITH(files_of_sets(folder / "c"), Contains("valid.txt"));
  }
  SECTION("not finished") {
    engine::write_file(folder / "c/manifest.json", R"({"format": "normlab-corpus", "finished": false})");
    CHECK_THROWS_WITH(files_of_sets(folder / "c"), Contains("was stopped before the files were complete"));
  }
  SECTION("a name that leaves the folder") {
    engine::write_file(folder / "secret", "x");
    for (const std::string& name : {std::string("../secret"), folder / "secret", std::string("..")}) {
      const Json manifest = {{"format", "normlab-corpus"}, {"files", {{{"file", name}, {"sha256", "0"}}}}};
      engine::write_file(folder / "c/manifest.json", engine::json_text(manifest));
      CHECK_THROWS_WITH(files_of_sets(folder / "c"), Contains("is not the name of a file in this folder"));
    }
  }
}

TEST_CASE("a corpus whose command is killed at any moment is whole, or refused", "[medium]") {
  const TemporaryFolder folder;
  int kills = 0;
  for (useconds_t delay = 0; delay < 80; ++delay) {
    const std::string out = folder / (delay % 2 == 0 ? "old" : "new" + std::to_string(delay));
    kills += killed(delay * 150, [&] { build_corpus(out, delay); });
    if (engine::is_directory(out)) CHECK(corpus_is_whole_or_refused(out));
  }
  CHECK(kills > 5);
  build_corpus(folder / "old", 99);
  CHECK(engine::list_folder(folder / "old") ==
        std::vector<std::string>{"manifest.json", "test.txt", "train.txt", "valid.txt"});
}
