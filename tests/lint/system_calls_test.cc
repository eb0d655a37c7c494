// Calls that the house makes in one place only, because what they do on failure is not what a caller wants:
// std::filesystem and std::thread throw exceptions that are no Error, Json's dump() throws for text that is
// not UTF-8.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <regex>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/file.h"

namespace {

namespace fs = std::filesystem;

struct Rule {
  const char* what;
  std::regex forbidden;
  std::vector<std::string> places;  // files that may
};

const std::vector<Rule>& rules() {
  static const std::vector<Rule> table = {
      {"std::filesystem but for its path: use engine/base/folder.h",
       std::regex(R"((std::filesystem|fs)::(?!path\b)\w)"),
       {"engine/base/folder.cc", "engine/base/file.cc"}},
      {"a thread of std: use engine/base/thread.h",
       std::regex(R"(std::(jthread\b|thread\s*[({]|async\b))"),
       {"engine/base/thread.h"}},
      {"Json::dump: use json_text", std::regex(R"((\.|->)dump\()"), {"engine/base/json.cc"}},
  };
  return table;
}

/// The rules that a line of `path` breaks.
std::string broken_rules(const std::string& path, const std::string& line) {
  std::string wrong;
  for (const Rule& rule : rules()) {
    const bool may = std::find(rule.places.begin(), rule.places.end(), path) != rule.places.end();
    if (!may && std::regex_search(line, rule.forbidden)) wrong += std::string(rule.what) + "\n";
  }
  return wrong;
}

}  // namespace

TEST_CASE("files, threads and JSON text go through engine/base") {
  int files = 0;
  for (const char* root : {"engine", "nn", "models", "data", "train"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(SOURCE_DIR) / root)) {
      if (entry.path().extension() != ".h" && entry.path().extension() != ".cc") continue;
      const std::string path = fs::relative(entry.path(), SOURCE_DIR).generic_string();
      const std::string text = engine::read_file(entry.path().string(), size_t(1) << 22);
      ++files;
      int64_t number = 1;
      for (size_t at = 0; at < text.size(); ++number) {
        const size_t end = std::min(text.find('\n', at), text.size());
        const std::string line = text.substr(at, end - at);
        at = end + 1;
        if (line.find("namespace fs =") != std::string::npos) continue;
        INFO(path << ":" << number << ": " << line);
        CHECK(broken_rules(path, line) == "");
      }
    }
  CHECK(files > 100);
}

TEST_CASE("the check of such calls sees them, and lets paths through") {
  const std::string path = "data/x.cc";
  CHECK(broken_rules(path, "const fs::path p(name);") == "");
  CHECK(broken_rules(path, "std::filesystem::path(name).filename()") == "");
  CHECK(broken_rules(path, "if (fs::exists(p)) return;") != "");
  CHECK(broken_rules(path, "for (const std::filesystem::directory_entry& e : x)") != "");
  CHECK(broken_rules(path, "std::thread thread_;") == "");
  CHECK(broken_rules(path, "thread_ = std::thread([] {});") != "");
  CHECK(broken_rules(path, "std::vector<std::jthread> others;") != "");
  CHECK(broken_rules(path, "json.dump(1)") != "");
  CHECK(broken_rules("engine/base/json.cc", "json.dump(1)") == "");
}
