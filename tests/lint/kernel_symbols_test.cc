// Kernels are compiled once per processor level. A function that two levels both define weakly (a template,
// an inline function) is kept once by the linker, and it may be the copy that this processor cannot run. This
// test reads the object files with nm. Read first: engine/kernel/isa.h.
#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>

namespace {

namespace fs = std::filesystem;

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen((command + " 2>/dev/null").c_str(), "r");
  if (!pipe) return text;
  std::array<char, 4096> block;
  for (size_t n; (n = fread(block.data(), 1, block.size(), pipe)) > 0;) text.append(block.data(), n);
  pclose(pipe);
  return text;
}

// Which levels define each weak symbol, as a list of names. nm prints "address type name"; weak symbols have
// type W, V (or u: unique). DW.ref.* are pointers to the exception personality, not code.
using Levels = std::map<std::string, std::string>;
void note_weak_symbols(Levels& levels, const std::string& level, const std::string& listing) {
  std::istringstream lines(listing);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string address, type, name;
    if (!(words >> address >> type >> name) || (type != "W" && type != "V" && type != "u")) continue;
    std::string& known = levels[name];
    if (!name.starts_with("DW.ref.") && known.find(level) == std::string::npos)
      known += (known.empty() ? "" : " and ") + level;
  }
}

std::string shared_symbols(const Levels& levels) {
  std::string text;
  for (const auto& [name, known] : levels)
    if (known.find(" and ") != std::string::npos) text += name + " in " + known + "\n";
  return text;
}

}  // namespace

TEST_CASE("processor levels share no weak symbol") {
  if (output_of("nm --version").empty()) {
    WARN("skipped: nm is not installed");
    return;
  }
  Levels levels;
  int objects = 0;
  for (const char* box : {"engine_cpu", "engine_ops"})
    for (const char* level : {"base", "avx2", "avx512"}) {
      const fs::path folder = fs::path(BINARY_DIR) / "CMakeFiles" / (std::string(box) + "_" + level + ".dir");
      if (!fs::exists(folder)) continue;
      for (const auto& entry : fs::recursive_directory_iterator(folder))
        if (entry.path().extension() == ".o") {
          note_weak_symbols(levels, level, output_of("nm --defined-only '" + entry.path().string() + "'"));
          ++objects;
        }
    }
  if (objects == 0) WARN("skipped: no kernel objects in " << BINARY_DIR);
  CHECK(shared_symbols(levels) == "");
}

TEST_CASE("the check of weak symbols sees one that two levels share") {
  Levels levels;
  note_weak_symbols(levels, "base", "0000 W _Z4lessv\n0000 T _Z4mainv\n0000 V DW.ref.x\n");
  note_weak_symbols(levels, "avx2", "0000 T _Z4mainv\n0000 V DW.ref.x\n0000 W _Z4moreb\n");
  CHECK(shared_symbols(levels) == "");
  note_weak_symbols(levels, "avx512", "0000 W _Z4lessv\n");
  CHECK(shared_symbols(levels) == "_Z4lessv in base and avx512\n");
}
