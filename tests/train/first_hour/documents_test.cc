// What the pages say can be typed. README.md's shell blocks are typed in order in an empty folder, budgets
// cut where they are long, and each figure that is quoted is compared with what came out. Commands in docs/
// are parsed by the tables of the command line: a flag that is not there, a missing word or a wrong choice
// fails.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <regex>
#include <sstream>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "run_program.h"
#include "temporary_folder.h"
#include "train/commands/command_pages.h"
#include "typed.h"

using namespace train;

namespace {

/// Losses, perplexities, counts and sizes in README may differ by so much: other processors round otherwise.
/// Speeds, times and what a machine has are not compared.
constexpr double kTolerance = 0.03;

/// The line with what depends on the machine taken out.
std::string without_machine(std::string line) {
  static const std::pair<std::regex, const char*> parts[] = {
      {std::regex(R"([0-9.]+[kM]? tok(ens)?/s)"), "SPEED"},
      {std::regex(R"(  MFU +[0-9]+%)"), ""},
      {std::regex(R"(  ETA [0-9:]+)"), ""},
      {std::regex(R"([0-9]+ % of the [0-9.]+ GFLOP/s measured on [0-9]+ threads)"), "PEAK"},
      {std::regex(R"(of [0-9.]+ [GM]iB available)"), "AVAILABLE"},
      {std::regex(R"([0-9]+(:[0-9]{2})+)"), "TIME"},
      {std::regex(R"(until about [-0-9: TIME]+)"), "UNTIL"},
  };
  for (const auto& [pattern, name] : parts) line = std::regex_replace(line, pattern, name);
  return line;
}

/// Numbers of a line, and the line with # in their place.
struct Skeleton {
  std::string text;
  std::vector<double> numbers;
};
Skeleton skeleton_of(const std::string& line) {
  static const std::regex number(R"([0-9][0-9.,]*)");
  Skeleton s;
  const std::string plain = without_machine(line);
  auto at = std::sregex_iterator(plain.begin(), plain.end(), number);
  size_t end = 0;
  for (; at != std::sregex_iterator(); ++at) {
    s.text += plain.substr(end, size_t(at->position()) - end) + "#";
    std::string digits = at->str();
    digits.erase(std::remove(digits.begin(), digits.end(), ','), digits.end());
    s.numbers.push_back(std::strtod(digits.c_str(), nullptr));
    end = size_t(at->position() + at->length());
  }
  s.text += plain.substr(end);
  return s;
}

bool agree(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!(std::abs(a[i] - b[i]) <= kTolerance * std::max(std::abs(a[i]), std::abs(b[i])))) return false;
  return true;
}

/// Whether each quoted line is among the printed ones, in order, with numbers within the tolerance. "..."
/// stands for any lines.
void compare(const Typed& typed, const std::string& printed) {
  const std::vector<std::string> lines = lines_of(printed);
  size_t at = 0;
  for (const std::string& quoted : typed.quoted) {
    if (quoted == "...") continue;
    const Skeleton wanted = skeleton_of(quoted);
    bool found = false;
    for (; at < lines.size() && !found; ++at) {
      const Skeleton got = skeleton_of(lines[at]);
      found = got.text == wanted.text && agree(got.numbers, wanted.numbers);
    }
    INFO("README.md quotes a line that is not printed:\n  " << quoted << "\nby  " << typed.command << "\n\n"
                                                            << printed);
    REQUIRE(found);
  }
}

/// Long budgets are cut, once the block quotes nothing that would change.
std::string with_short_budget(const Typed& typed) {
  std::string command = typed.command;
  const auto replace = [&](const char* from, const char* to) {
    for (size_t at; (at = command.find(from)) != std::string::npos;)
      command.replace(at, std::string(from).size(), to);
  };
  replace("budget.seconds=10m", "budget.steps=30");
  replace("budget.seconds=1h", "budget.steps=30");
  if (command.find("normlab train --text") != std::string::npos && typed.quoted.empty() &&
      command.find("budget.") == std::string::npos)
    command += " --set budget.steps=30";
  if (command.starts_with("normlab compare")) command += " --dry-run";
  return command;
}

/// What a reader is expected to have: text of one's own, and the repository's docs/configs.
void lay_out(const TemporaryFolder& folder) {
  std::string text;
  for (int i = 0; i < 1500; ++i)
    text += "The " + std::to_string(i % 37) + " men of hill " + std::to_string(i % 11) + " came down.\n";
  engine::write_file(folder / "notes.txt", text);
  std::filesystem::create_directory_symlink(SOURCE_DIR "/docs", folder / "docs");
  std::filesystem::create_directory(folder / "build");
  std::filesystem::create_symlink(BINARY_DIR "/normlab", folder / "build/normlab");
}

}  // namespace

TEST_CASE("README.md: every shell block, typed in order in an empty folder, prints what it says",
          "[medium]") {
  const TemporaryFolder folder;
  lay_out(folder);
  int code = 0, commands = 0;
  run_in(folder.path, "normlab corpus janeausten --out probe --quiet", &code);
  if (code != 0) {
    WARN("SKIPPED: the text that README.md fetches is not to be had here");
    return;
  }
  for (const Block& block : blocks_of(page("README.md"))) {
    if (block.language != "sh") continue;
    for (const Typed& typed : typed_in(block)) {
      if (typed.command.starts_with("make ") || typed.command.starts_with("git ") ||
          typed.command.starts_with("export ") || typed.command.starts_with("cd "))
        continue;  // the program is built already; make's targets are those of the Makefile's own test
      const std::string printed = run_in(folder.path, with_short_budget(typed), &code);
      INFO(typed.command << "\n" << printed);
      REQUIRE(code == 0);
      compare(typed, printed);
      ++commands;
    }
  }
  CHECK(commands >= 10);
}

TEST_CASE("docs/: every command line that a page shows is one that the program takes") {
  const CommandPage root = command_pages(normlab_commands());
  const TemporaryFolder folder;
  int parsed = 0;
  for (const std::string& name : engine::list_folder(SOURCE_DIR "/docs")) {
    if (!name.ends_with(".md") || name == "decisions.md") continue;
    for (const Block& block : blocks_of(page("docs/" + name))) {
      for (const Typed& typed : typed_in(block)) {
        static const std::regex message("normlab [a-z -]+: .*");  // what the program says, not what is typed
        if (!typed.command.starts_with("normlab ") || std::regex_match(typed.command, message)) continue;
        // The shell takes the words apart; a function in place of the program hands them over.
        int code = 0;
        const std::string words =
            run_in(folder.path,
                   "touch text ids.json; normlab() { printf \"%s\\n\" \"$@\" > words; }\n" + typed.command +
                       "\ncat words",
                   &code);
        std::vector<std::string> arguments = lines_of(words);
        INFO("docs/" << name << ": " << typed.command);
        REQUIRE_FALSE(arguments.empty());
        const CommandPage* found = &root;
        while (!arguments.empty() && !found->children.empty()) {
          REQUIRE_NOTHROW(found = &find_page(*found, {arguments[0]}));
          arguments.erase(arguments.begin());
        }
        arguments.insert(arguments.begin(), found->program);
        std::vector<char*> argv;
        for (std::string& word : arguments) argv.push_back(word.data());
        CHECK_NOTHROW(Arguments(found->usage, int(argv.size()), argv.data()));
        ++parsed;
      }
    }
  }
  CHECK(parsed > 20);
}

TEST_CASE("the comparison of quoted figures notices what is not so") {
  const Skeleton a =
      skeleton_of("step 100/100  loss 6.2074  ppl 496.40  1.3k tok/s  MFU 30%  ETA 0:00  (100%)");
  const Skeleton b = skeleton_of("step 100/100  loss 6.1  ppl 490  99k tok/s  MFU 3%  ETA 1:02:03  (100%)");
  const Skeleton c = skeleton_of("step 100/100  loss 5.2074  ppl 496.40  1.3k tok/s  ETA 0:00  (100%)");
  CHECK(a.text == b.text);
  CHECK(agree(a.numbers, b.numbers));
  CHECK(a.text == c.text);
  CHECK_FALSE(agree(a.numbers, c.numbers));
  CHECK_FALSE(agree({1}, {NAN}));
  CHECK(typed_in({"sh", {"$ a \\", "  b", "said", "$ c"}}).size() == 2);
  CHECK(typed_in({"sh", {"$ a \\", "  b", "said"}})[0].quoted == std::vector<std::string>{"said"});
}
