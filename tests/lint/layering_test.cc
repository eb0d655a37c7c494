// The arrows of the house: which box may include which. A box's include path (cmake/box.cmake) already keeps
// most mistakes from compiling; this test reads every #include line and says what is wrong in words.
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "engine/base/check.h"
#include "engine/base/file.h"

namespace {

namespace fs = std::filesystem;
using Folders = std::set<std::string>;

// base <- core <- kernel <- cpu | cuda <- autograd <- ops; engine <- nn <- models <- train; data -> base. An
// arrow to a box is one to all that it stands on, but for nn: it calls ops, and no kernel or backend.
const std::map<std::string, Folders> allowed = [] {
  std::map<std::string, Folders> table = {
      {"engine/base", {}},
      {"engine/core", {"engine/base"}},
      {"engine/kernel", {"engine/core"}},
      {"engine/cpu", {"engine/kernel"}},
      {"engine/cuda", {"engine/kernel"}},
      {"engine/autograd", {"engine/kernel"}},
      {"engine/ops", {"engine/autograd", "engine/cpu", "engine/cuda"}},
      {"engine/comm", {"engine/kernel"}},
      {"engine/io", {"engine/kernel"}},
      {"engine/cases", {"engine/ops"}},
      {"engine/bench", {"engine/ops"}},
      {"nn", {"engine/ops"}},
      {"models", {"nn", "engine/io"}},
      {"data", {"engine/base"}},
      {"train", {"models", "data", "engine/cases", "engine/bench", "engine/comm"}},
  };
  for (bool grown = true; grown;) {  // an arrow to a box is one to all that it stands on
    grown = false;
    for (auto& [box, targets] : table)
      for (const std::string& target : Folders(targets))
        for (const std::string& next : table.at(target)) grown = targets.insert(next).second || grown;
  }
  for (const char* below : {"engine/kernel", "engine/cpu", "engine/cuda"}) table["nn"].erase(below);
  return table;
}();

std::string box_of(const std::string& path) {
  for (const auto& [box, targets] : allowed)
    if (path.starts_with(box + "/")) return box;
  return "";
}

// What is wrong with the #include "..." lines of a file's text; empty when nothing is.
std::string wrong_includes(const std::string& path, const std::string& text) {
  std::string wrong;
  const std::string box = box_of(path), key = "#include \"";
  for (size_t at = text.find(key); at != std::string::npos; at = text.find(key, at + 1)) {
    if (at > 0 && text[at - 1] != '\n') continue;
    const size_t begin = at + key.size();
    const std::string header = text.substr(begin, text.find('"', begin) - begin), target = box_of(header);
    if (target.empty())
      wrong += engine::join_text(path, " includes ", header, ", which is in no box\n");
    else if (target != box && !allowed.at(box).contains(target))
      wrong += engine::join_text(path, " includes ", header, ": ", box, " must not know ", target, "\n");
  }
  return wrong;
}

bool is_source(const fs::path& path) {
  return path.extension() == ".h" || path.extension() == ".cc" || path.extension() == ".cu";
}

}  // namespace

TEST_CASE("no box includes a header of a box above it") {
  int files = 0;
  for (const char* root : {"engine", "nn", "models", "data", "train"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(SOURCE_DIR) / root)) {
      if (!is_source(entry.path())) continue;
      const std::string path = fs::relative(entry.path(), SOURCE_DIR).generic_string();
      INFO(path);
      CHECK(box_of(path) != "");
      CHECK(wrong_includes(path, engine::read_file(entry.path().string(), size_t(1) << 22)) == "");
      ++files;
    }
  CHECK(files > 100);
}

TEST_CASE("the check of includes sees arrows that point up, and strangers") {
  CHECK(wrong_includes("nn/norm.cc", "#include \"engine/ops/norm.h\"\n#include \"engine/base/check.h\"\n") ==
        "");
  CHECK(wrong_includes("engine/ops/norm.cc", "// x\n#include \"nn/norm.h\"\n") ==
        "engine/ops/norm.cc includes nn/norm.h: engine/ops must not know nn\n");
  CHECK(wrong_includes("data/shards.cc", "#include \"engine/core/tensor.h\"\n") ==
        "data/shards.cc includes engine/core/tensor.h: data must not know engine/core\n");
  CHECK(wrong_includes("nn/norm.cc", "#include \"engine/kernel/wide.h\"\n") ==
        "nn/norm.cc includes engine/kernel/wide.h: nn must not know engine/kernel\n");
  CHECK(wrong_includes("nn/norm.cc", "#include \"norm.h\"\n") ==
        "nn/norm.cc includes norm.h, which is in no box\n");
}
