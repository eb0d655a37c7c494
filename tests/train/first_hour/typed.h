// The shell blocks of a page, taken apart into what is typed and what is quoted below it, and a shell that
// types them in a folder with the built program first on its path.
#pragma once

#include <catch2/catch.hpp>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/file.h"
#include "run_program.h"

inline std::string page(const std::string& path) {
  return engine::read_file(std::string(SOURCE_DIR) + "/" + path);
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

struct Block {
  std::string language;
  std::vector<std::string> lines;
};
inline std::vector<Block> blocks_of(const std::string& text) {
  std::vector<Block> blocks;
  bool inside = false;
  for (const std::string& line : lines_of(text)) {
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) blocks.push_back({line.substr(3), {}});
    } else if (inside) {
      blocks.back().lines.push_back(line);
    }
  }
  return blocks;
}

/// A command of a block, and the lines below it that quote what it prints.
struct Typed {
  std::string command;
  std::vector<std::string> quoted;
};
inline std::vector<Typed> typed_in(const Block& block) {
  std::vector<Typed> out;
  bool prompts = false, goes_on = false;
  for (const std::string& line : block.lines) prompts = prompts || line.starts_with("$ ");
  for (const std::string& line : block.lines) {
    if (goes_on) {
      out.back().command += "\n" + line;
    } else if (!prompts && !line.empty()) {
      out.push_back({line, {}});
    } else if (line.starts_with("$ ")) {
      out.push_back({line.substr(2), {}});
    } else if (!out.empty() && !line.empty()) {
      out.back().quoted.push_back(line);
    }
    goes_on = !out.empty() && out.back().command.ends_with('\\') && out.back().quoted.empty();
  }
  return out;
}

inline std::string run_in(const std::string& folder, const std::string& command, int* code) {
  const std::string quoted = std::regex_replace(command, std::regex("'"), "'\\''");
  const ProgramEnd end =
      run_shell("cd '" + folder + "' && PATH=" BINARY_DIR ":$PATH bash -c '" + quoted + "'");
  *code = end.code;
  return end.output;
}
