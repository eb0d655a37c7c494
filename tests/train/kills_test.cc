// Commands that make files, killed at any moment: what stands at the place is the old whole or the new whole,
// and the same command once more leaves nothing else behind. (prepare and corpus: tests/data/sets_test.cc;
// training: train_process_test.cc.)
#include <fcntl.h>
#include <unistd.h>

#include <map>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "killed.h"
#include "run_program.h"
#include "training_support.h"

using namespace train;

namespace {

/// Every file of a folder, hidden ones too, with its bytes.
std::map<std::string, std::string> files_of(const std::string& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    out[entry.path().filename().string()] = engine::read_file(entry.path().string());
  return out;
}

/// Becomes normlab, which says nothing.
void be_normlab(std::vector<std::string> words) {
  const int nowhere = ::open("/dev/null", O_WRONLY);
  ::dup2(nowhere, 1), ::dup2(nowhere, 2);
  std::string program = BINARY_DIR "/normlab";
  std::vector<char*> argv = {program.data()};
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

std::string text_of(int lines, int seed) {
  std::string text;
  for (int i = 0; i < lines; ++i)
    text += "line " + std::to_string(i * 7919 % 9973 + seed) + " of a text about " + std::to_string(i % 97) +
            "\n";
  return text;
}

}  // namespace

TEST_CASE("tokenizer train, convert and report killed at any moment leave the old whole or the new",
          "[medium]") {
  Job job;
  job.set("budget.steps", 4).set("eval.every", 0);
  engine::write_file(job.folder / "config.json", job.config.dump());
  for (const char* name : {"a", "b"}) {
    engine::write_file(job.folder / (name + std::string(".txt")), text_of(20000, *name));
    job.set("seed", int(*name));
    job.train(std::string("run-") + name);
  }
  /// What makes `out` from the input "a" or "b".
  using Words = std::vector<std::string>;
  const auto command = [&](const std::string& what, const std::string& input, const std::string& out) {
    const std::string text = job.folder / (input + ".txt"), run = job.run("run-" + input);
    if (what == "tokenizer")
      return Words{"tokenizer", "train", "--vocab-size", "600", "--input", text, "--out", out};
    if (what == "convert")
      return Words{"convert", "--from", "normlab", "--to", "hf", "--custom-code", run, out};
    return Words{"report", run, "--out", out + "/report.html"};
  };
  const auto run = [](const Words& words) {
    std::string line;
    for (const std::string& word : words) line += word + " ";
    return run_normlab(line);
  };
  const std::string what = GENERATE("tokenizer", "convert", "report");
  INFO(what);
  std::map<std::string, std::string> whole[2];
  double seconds = 0;
  for (const int i : {0, 1}) {
    const std::string input = i == 0 ? "a" : "b", out = job.folder / ("whole-" + input);
    if (what == "report") engine::make_directories(out);
    const double begin = engine::now();
    const ProgramEnd end = run(command(what, input, out));
    seconds = engine::now() - begin;
    INFO(end.output);
    REQUIRE(end.code == 0);
    whole[i] = files_of(out);
  }
  REQUIRE(whole[0] != whole[1]);
  const std::string out = job.folder / "out";
  if (what == "report") engine::make_directories(out);
  REQUIRE(run(command(what, "a", out)).code == 0);
  engine::Rng rng{2026, 1};
  int kills = 0, now = 0;
  for (int attempt = 0; attempt < 40; ++attempt) {
    const int next = 1 - now;
    kills += killed(useconds_t(rng.uniform() * 1.1 * seconds * 1e6),
                    [&] { be_normlab(command(what, next == 0 ? "a" : "b", out)); });
    std::map<std::string, std::string> found = files_of(out);
    std::erase_if(found, [](const auto& file) { return file.first.starts_with("."); });
    CHECK((found == whole[0] || found == whole[1]));
    if (found == whole[next]) now = next;
  }
  CHECK(kills >= 5);
  REQUIRE(run(command(what, "b", out)).code == 0);
  CHECK(files_of(out) == whole[1]);
  for (const auto& entry : std::filesystem::directory_iterator(job.folder.path))  // folders in the making
    CHECK_FALSE(entry.path().filename().string().starts_with("."));
}
