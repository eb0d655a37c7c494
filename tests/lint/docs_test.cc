// The code in the pages about the engine is code that runs: every ```cpp block stands, up to indentation, in
// one of the files that the page names.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "engine/base/file.h"

namespace {

std::string read(const std::string& path) {
  return engine::read_file(std::string(SOURCE_DIR) + "/" + path, size_t(1) << 22);
}

// Lines without indentation, runs of blanks before a comment taken as one (clang-format aligns comments).
std::string normalized(const std::string& text) {
  std::string out;
  bool line_start = true, blank = false;
  for (char c : text) {
    if (c == ' ' && line_start) continue;
    if (c == ' ' && blank) continue;
    line_start = c == '\n', blank = c == ' ';
    out += c;
  }
  return out;
}

std::vector<std::string> code_blocks(const std::string& page) {
  std::vector<std::string> blocks;
  const std::string open = "```cpp\n", close = "```";
  for (size_t at = page.find(open); at != std::string::npos; at = page.find(open, at)) {
    const size_t begin = at + open.size();
    at = page.find(close, begin);
    blocks.push_back(page.substr(begin, at - begin));
  }
  return blocks;
}

void compare(const std::string& page, const std::vector<std::string>& sources, size_t at_least) {
  std::string code;
  for (const std::string& path : sources) code += normalized(read(path));
  const auto blocks = code_blocks(read(page));
  CHECK(blocks.size() >= at_least);
  for (const std::string& block : blocks) {
    INFO(page << ": this block is not in the files that it quotes:\n" << block);
    CHECK(code.find(normalized(block)) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("page 1 quotes code that runs") {
  compare("docs/01-tensor.md", {"tests/docs/tensor_page_test.cc"}, 5);
}
TEST_CASE("page 2 quotes code that runs") {
  compare("docs/02-autograd.md", {"tests/docs/autograd_page_test.cc"}, 5);
}
TEST_CASE("page 3 quotes head_scale as it is, and code that runs") {
  compare("docs/03-writing-an-op.md",
          {"engine/ops/head_scale.cc", "engine/ops/head_scale_kernels.h", "engine/ops/head_scale_cpu.cc",
           "engine/cases/head_scale_cases.cc", "tests/docs/op_page_test.cc"},
          9);
}
TEST_CASE("a block that is not in its source is noticed") {
  CHECK(normalized("  a  = 1;\n   b;") == "a = 1;\nb;");
  CHECK(code_blocks("x\n```cpp\na;\n```\ny\n```sh\nls\n```\n") == std::vector<std::string>{"a;\n"});
}
TEST_CASE("page 8 quotes the ladder's kernels") {
  compare("docs/08-kernels-gpu.md", {"tests/engine/cuda/ladder_test.cc"}, 3);
}
