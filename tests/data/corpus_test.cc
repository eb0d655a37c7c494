// Corpora: duplicates, splits, manifests, R data, recipes from a prepared cache.
#include "data/corpus.h"

#include <catch2/catch.hpp>
#include <set>

#include "data/packages.h"
#include "data/r_data.h"
#include "data/recipes.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/sha256.h"
#include "temporary_folder.h"

#include <zlib.h>

using namespace data;
using Catch::Matchers::Contains;

namespace {

std::vector<std::string> texts(const std::string& path) {
  std::vector<std::string> out;
  read_documents(path, {}, [&](Document&& d) { out.push_back(std::move(d.text)); });
  return out;
}

engine::Json build(const std::string& folder, const std::vector<std::string>& documents,
                   CorpusOptions options = {}) {
  CorpusBuilder builder(options, folder);
  for (const auto& text : documents) builder.add({text, "test"});
  return builder.write({"test", "none", {}});
}

std::vector<std::string> numbered(int n) {
  std::vector<std::string> out;
  for (int i = 0; i < n; ++i) out.push_back("document " + std::to_string(i) + "\n\nits text\n");
  return out;
}

// R's serialisation, as far as a test needs to write it.
std::string word(uint32_t n) { return {char(n >> 24), char(n >> 16), char(n >> 8), char(n)}; }
std::string r_string(const std::string& s, uint32_t flags = 0x40009) {
  return word(flags) + word(uint32_t(s.size())) + s;
}
std::string r_strings(const std::vector<std::string>& values) {
  std::string out = word(16) + word(uint32_t(values.size()));
  for (const auto& v : values) out += r_string(v);
  return out;
}
std::string r_header() { return "X\n" + word(3) + word(0) + word(0) + word(5) + "UTF-8"; }
enum Wrapping { kZlib = 15, kGzip = 31 };
std::string deflated(const std::string& bytes, Wrapping wrapping) {
  z_stream s{};
  deflateInit2(&s, 6, Z_DEFLATED, wrapping, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&s, bytes.size()) + 64, '\0');
  s.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data())), s.avail_in = uInt(bytes.size());
  s.next_out = reinterpret_cast<Bytef*>(out.data()), s.avail_out = uInt(out.size());
  deflate(&s, Z_FINISH);
  out.resize(s.total_out);
  deflateEnd(&s);
  return out;
}
void write_r_database(const std::string& path, const std::vector<RStrings>& sets) {
  std::string data, places, names;
  for (const auto& set : sets) {
    const std::string raw = r_header() + r_strings(set.values),
                      packed = word(uint32_t(raw.size())) + deflated(raw, kZlib);
    places += word(13) + word(2) + word(uint32_t(data.size())) + word(uint32_t(packed.size()));
    data += packed;
    names += r_string(set.name);
  }
  const std::string tag = word(0x402) + word(1) + r_string("names"), tag_again = word(0x402) + word(0x1ff);
  const std::string n = word(uint32_t(sets.size()));
  const std::string index = r_header() + word(0x213) + word(3) +
                            (word(0x213) + n + places + tag + word(16) + n + names + word(254)) +
                            (word(0x13) + word(0)) + (word(10) + word(1) + word(1)) + tag_again +
                            r_strings({"variables", "references", "compressed"}) + word(254);
  engine::write_file(path + ".rdb", data);
  engine::write_file(path + ".rdx", deflated(index, kGzip));
}

}  // namespace

TEST_CASE("a split deals every document once, by share, the same for the same seed") {
  std::vector<size_t> sizes;
  for (size_t i = 0; i < 1000; ++i) sizes.push_back(100 + i % 37);
  const auto parts = split_documents(sizes, 0.1, 0.05, 1);
  CHECK(std::abs(std::count(parts.begin(), parts.end(), 1) - 100) < 5);
  CHECK(std::abs(std::count(parts.begin(), parts.end(), 2) - 50) < 5);
  CHECK(parts == split_documents(sizes, 0.1, 0.05, 1));
  CHECK(parts != split_documents(sizes, 0.1, 0.05, 2));
  CHECK(split_documents({5}, 0.5, 0.4, 1) == std::vector<int>{0});
}

TEST_CASE("a corpus folder holds each document once, without copies") {
  const TemporaryFolder folder;
  auto documents = numbered(100);
  documents.push_back(documents[3]);
  documents.push_back("document 4\r\n\r\n\r\nits text  ");  // the same after cleaning
  documents.push_back(" \n");
  const auto manifest = build(folder / "out", documents);
  std::multiset<std::string> seen;
  for (const auto& file : manifest["files"]) {
    const std::string path = folder / ("out/" + file["file"].get<std::string>());
    const auto here = texts(path);
    seen.insert(here.begin(), here.end());
    CHECK(file["documents"] == here.size());
    CHECK(file["sha256"] == engine::sha256_hex(engine::read_file(path)));
    CHECK(file["bytes"] == engine::read_file(path).size());
  }
  const auto original = numbered(100);
  CHECK(seen == std::multiset<std::string>(original.begin(), original.end()));
  CHECK(manifest["documents"]["duplicates"] == 2);
  CHECK(manifest["documents"]["empty"] == 1);
  CHECK(manifest["split"]["by"] == "document");
  CHECK(engine::read_json(folder / "out/manifest.json") == manifest);
  CHECK(build(folder / "again", documents) == manifest);
}

TEST_CASE("few documents are cut by position, at line ends, nothing lost") {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "line number " + std::to_string(i) + "\n";
  const auto manifest =
      build(folder.path, {text}, {.cleaning = Cleaning::utf8_only, .valid = 0.1, .test = 0});
  CHECK(manifest["split"]["by"] == "position");
  CHECK(manifest["files"].size() == 2);
  const std::string train = engine::read_file(folder / "train.txt"),
                    valid = engine::read_file(folder / "valid.txt");
  CHECK(train + valid == text);
  CHECK(train.back() == '\n');
  CHECK(std::abs(double(valid.size()) / double(text.size()) - 0.1) < 0.01);
}

TEST_CASE("a text of one line is cut at white space, and one of a single word between characters") {
  const TemporaryFolder folder;
  const auto parts = [&](const std::string& text, double test) {
    build(folder.path, {text}, {.cleaning = Cleaning::utf8_only, .valid = 0.1, .test = test});
    std::vector<std::string> out;
    for (const char* part : {"/train.txt", "/valid.txt", "/test.txt"})
      if (test > 0 || std::string(part) != "/test.txt") out.push_back(engine::read_file(folder.path + part));
    return out;
  };
  std::string words, letters;
  for (int i = 0; i < 1000; ++i) words += "word" + std::to_string(i) + " ", letters += "\u00e9";
  for (const double test : {0.1, 0.0}) {
    const auto by_words = parts(words, test), by_letters = parts(letters, test);
    std::string all_words, all_letters;
    for (size_t i = 0; i < by_words.size(); ++i) {
      const double share = i > 0 ? 0.1 : 0.9 - test;
      all_words += by_words[i], all_letters += by_letters[i];
      CHECK(by_words[i].ends_with(' '));
      CHECK(std::abs(double(by_words[i].size()) / double(words.size()) - share) < 0.01);
      CHECK(by_letters[i].size() % 2 == 0);
      CHECK(std::abs(double(by_letters[i].size()) / double(letters.size()) - share) < 0.01);
    }
    CHECK(all_words == words);
    CHECK(all_letters == letters);
  }
}

TEST_CASE("documents that hold a separator line make the corpus JSONL") {
  const TemporaryFolder folder;
  auto documents = numbered(30);
  documents.push_back("before\n<|endoftext|>\nafter\n");
  const auto manifest = build(folder.path, documents);
  CHECK(manifest["files"][0]["file"] == "train.jsonl");
  std::set<std::string> seen;
  for (const char* part : {"train", "valid", "test"})
    for (const auto& text : texts(folder / (std::string(part) + ".jsonl"))) seen.insert(text);
  CHECK(seen.size() == 31);
  CHECK(seen.contains(documents.back()));
}

TEST_CASE("a corpus without text, without room or with broken bytes is refused") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH(build(folder.path, {" ", "\n"}), Contains("no text") && Contains("2 documents read"));
  CHECK_THROWS_WITH(build(folder.path, {"a"}, {.valid = 0.6, .test = 0.5}), Contains("0.6 and 0.5"));
  CHECK_THROWS_WITH(build(folder.path, {"a\xff"}), Contains("test: not valid UTF-8 at byte 1"));
  CHECK(folder.files() == 0);
  CHECK_NOTHROW(build(folder.path, {"a\xff"}, {.invalid = InvalidUtf8::replace}));
}

TEST_CASE("an R database gives its character vectors") {
  const TemporaryFolder folder;
  const std::string path = folder / "Rdata";
  write_r_database(path, {{"first", {"one", "", "tw\u00f6"}}, {"second", {}}});
  const auto sets = read_r_database(path);
  REQUIRE(sets.size() == 2);
  CHECK(sets[0].name == "first");
  CHECK(sets[0].values == std::vector<std::string>{"one", "", "tw\u00f6"});
  CHECK(sets[1].values.empty());

  const std::string data = engine::read_file(path + ".rdb"), index = engine::read_file(path + ".rdx");
  for (size_t cut = 0; cut < data.size(); cut += 7) {
    engine::write_file(path + ".rdb", std::string_view(data).substr(0, cut));
    CHECK_THROWS_AS(read_r_database(path), engine::Error);
  }
  engine::write_file(path + ".rdb", data);
  const std::string raw = r_header() + word(16) + word(0xffffff);
  engine::write_file(path + ".rdx", deflated(raw, kGzip));
  CHECK_THROWS_WITH(read_r_database(path), Contains("16777215 elements"));
  std::string nils = r_header() + word(19) + word(200'000);  // 4 bytes each in the file, 96 in memory
  for (int i = 0; i < 200'000; ++i) nils += word(254);
  engine::write_file(path + ".rdx", deflated(nils, kGzip));
  CHECK_THROWS_WITH(read_r_database(path), Contains("lists of more than 65536 items"));
  engine::write_file(path + ".rdx", deflated(r_header() + std::string(size_t(80) << 20, '\0'), kGzip));
  CHECK_THROWS_WITH(read_r_database(path), Contains("more than 67108864 bytes"));
  engine::write_file(path + ".rdx", deflated(r_header() + word(6), kGzip));
  CHECK_THROWS_WITH(read_r_database(path), Contains("R type 6"));
  engine::write_file(path + ".rdx", "RDA3");
  CHECK_THROWS_WITH(read_r_database(path), Contains("not R's binary"));
}

TEST_CASE("chapters begin at their headings, and a volume's heading stays with its first chapter") {
  const auto chapters = split_chapters({"TITLE", "", "VOLUME I", "", "CHAPTER I", "", "text", "Chapter 2",
                                        "more", "chapter of accidents", "VOLUME II", "CHAPTER I", "end"});
  REQUIRE(chapters.size() == 4);
  CHECK(chapters[1] == "VOLUME I\n\nCHAPTER I\n\ntext\n");
  CHECK(chapters[2] == "Chapter 2\nmore\nchapter of accidents\n");
  CHECK(chapters[3] == "VOLUME II\nCHAPTER I\nend\n");
}

TEST_CASE("a recipe that was fetched before needs no network") {
  const TemporaryFolder cache;
  const std::string root = cache / "janeausten/root/usr/lib/R/site-library/janeaustenr/data";
  engine::make_directories(root);
  write_r_database(root + "/Rdata",
                   {{"emma", {"CHAPTER I", "", "It was", "late.", "CHAPTER II", "", "End."}}});
  engine::write_file(cache / "janeausten/packages.txt", "r-cran-janeaustenr 1.0.0-1\n");
  std::vector<std::string> got;
  const auto source = read_recipe(*find_recipe("janeausten"), cache.path,
                                  [&](Document&& d) { got.push_back(std::move(d.text)); });
  CHECK(got == std::vector<std::string>{"CHAPTER I\n\nIt was late.\n", "CHAPTER II\n\nEnd.\n"});
  CHECK(source.origin.dump() == "{\"debian_packages\":[\"r-cran-janeaustenr 1.0.0-1\"]}");
  CHECK(find_recipe("janeaustin") == nullptr);
}

TEST_CASE("a program's failure says what it said last") {
  CHECK(run_program({"printf", "a b"}) == "a b");
  CHECK(run_program({"pwd"}, "/") == "/\n");
  CHECK_THROWS_WITH(run_program({"sh", "-c", "echo first >&2; echo last words >&2; exit 3"}),
                    Contains("last words"));
  CHECK_THROWS_WITH(run_program({"normlab-no-such-program"}), Contains("cannot run it"));
}
