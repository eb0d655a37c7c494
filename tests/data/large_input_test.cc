// Inputs of many documents: memory is needed for a few at a time, not for all, and what comes out does not
// depend on how they were read.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "data/corpus.h"
#include "data/train_tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/philox.h"
#include "temporary_folder.h"

using namespace data;
using Catch::Matchers::Contains;

namespace {

/// Documents of some hundred words of a small vocabulary, with a number each, so that none is another's copy.
std::vector<std::string> documents_of(size_t bytes) {
  engine::Rng rng{5, 1};
  std::vector<std::string> out;
  for (size_t sum = 0; sum < bytes; sum += out.back().size()) {
    std::string text = "Document " + std::to_string(out.size()) + "\n";
    for (uint64_t n = 100 + rng.below(400); n > 0; --n) text += " word" + std::to_string(rng.below(5000));
    out.push_back(text + "\n");
  }
  return out;
}

void write_documents(const std::string& path, const std::vector<std::string>& documents) {
  std::string text;
  for (const std::string& document : documents) text += document + kSeparatorLine + "\n";
  engine::write_file(path, text);
}

/// The most memory, in bytes, that `normlab WORDS` had.
int64_t peak_of(const std::vector<std::string>& words) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<char*> line = {const_cast<char*>("normlab")};
    for (const std::string& word : words) line.push_back(const_cast<char*>(word.c_str()));
    line.push_back(nullptr);
    ::execv(BINARY_DIR "/normlab", line.data());
    ::_exit(127);
  }
  int status = 0;
  rusage used{};
  REQUIRE(::wait4(child, &status, 0, &used) == child);
  REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  return int64_t(used.ru_maxrss) * 1024;
}

}  // namespace

TEST_CASE("a corpus and tokenizers of many documents hold a few of them at a time", "[medium]") {
  const TemporaryFolder folder;
  constexpr int64_t kLarge = int64_t(128) << 20;
  write_documents(folder / "small.txt", documents_of(1000));
  write_documents(folder / "large.txt", documents_of(size_t(kLarge)));
  /// How much more memory the large input takes than the small one.
  const auto growth = [&](std::vector<std::string> words) {
    words.insert(words.begin() + (words[0] == "corpus" ? 1 : 2), {"--quiet", "--out=" + (folder / "out")});
    const auto with = [&](const std::string& input) {
      words.push_back(folder / input);
      const int64_t peak = peak_of(words);
      words.pop_back();
      return peak;
    };
    const int64_t small = with("small.txt");
    return with("large.txt") - small;
  };
  CHECK(growth({"corpus"}) < kLarge / 4);
  for (const char* kind : {"bpe", "word", "char"}) {
    INFO(kind);
    CHECK(growth({"tokenizer", "train", "--threads=2", "--kind", kind, "--input"}) < kLarge * 3 / 4);
  }
}

TEST_CASE("a tokenizer learns the same from documents one by one as from all of them at once", "[medium]") {
  const std::vector<std::string> documents = documents_of(size_t(20) << 20);
  const std::vector<std::string_view> views(documents.begin(), documents.end());
  for (const TokenizerKind kind : {TokenizerKind::bpe, TokenizerKind::word, TokenizerKind::character}) {
    const TrainOptions options{.kind = kind, .vocab_size = size_t(kind == TokenizerKind::bpe ? 400 : 0)};
    TokenizerTrainer trainer(options);
    for (const std::string& document : documents) trainer.add(std::string(document));
    CHECK(trainer.learn()->to_json() == train_tokenizer(views, options)->to_json());
  }
}

TEST_CASE("a spool gives its documents back, short ones and those larger than a block") {
  const TemporaryFolder folder;
  const bool on_disk = GENERATE(false, true);
  std::vector<std::string> documents = documents_of(size_t(3) << 20);
  documents.insert(documents.begin() + 5, std::string(size_t(on_disk ? 17 : 5) << 20, 'x'));
  documents.insert(documents.begin() + 9, "");
  DocumentSpool spool(folder / "not/yet/there");
  for (const std::string& document : documents) spool.add(document);
  CHECK(engine::list_folder(folder.path).empty());  // it has no name
  for (int again = 0; again < 2; ++again) {
    std::vector<std::string> found;
    spool.each([&](size_t i, const std::string& document) {
      CHECK(i == found.size());
      found.push_back(document);
    });
    CHECK((found == documents));
  }
  engine::write_file(folder / "file", "");
  CHECK_THROWS_WITH(DocumentSpool(folder / "file/corpus"), Contains("is there and no folder"));
}
