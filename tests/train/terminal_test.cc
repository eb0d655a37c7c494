// What a terminal is sent: a program on a pseudo-terminal, with text in its data that a terminal would obey.
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>
#include <vector>

#include "engine/base/file.h"
#include "temporary_folder.h"

using Catch::Matchers::Contains;

namespace {

/// Runs normlab on a terminal of 80 columns with TERM as given and returns all that the terminal was sent.
std::string on_terminal(const char* term, std::vector<std::string> arguments) {
  int terminal = -1;
  winsize size{24, 80, 0, 0};
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, &size);
  REQUIRE(child >= 0);
  if (child == 0) {
    ::setenv("TERM", term, 1);
    ::unsetenv("NORMLAB_LOG");
    arguments.insert(arguments.begin(), BINARY_DIR "/normlab");
    std::vector<char*> argv;
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  std::string out;
  char block[4096];
  for (ssize_t n; (n = ::read(terminal, block, sizeof block)) > 0 || (n < 0 && errno == EINTR);)
    if (n > 0) out.append(block, size_t(n));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ::close(terminal);
  return out;
}

}  // namespace

TEST_CASE("terminal: no escape code comes through from names and texts") {
  const TemporaryFolder folder;
  const std::string name = folder /
                           "a\x1b[2J\xC2\x9B"
                           "1mb\nc.json";
  CHECK_THAT(on_terminal("xterm", {"inspect", name}),
             Contains("\\x1b[2J\\u009b1mb\\nc.json: ") && !Contains("\x1b"));
  engine::write_file(name, "{\"\\u001b]0;title\\u0007\\u202e\": 1}");
  CHECK_THAT(on_terminal("xterm", {"inspect", name}),
             Contains("\\x1b]0;title\\x07\\u202e") && !Contains("\x1b"));
  CHECK_THAT(on_terminal("xterm", {"train", "--set", "data.\x1b[31m=1"}),
             Contains("\\x1b[31m") && !Contains("\x1b"));
  CHECK_THAT(on_terminal("xterm", {"\x1b[31m"}),
             Contains("unknown command \"\\x1b[31m\"") && !Contains("\x1b"));
}

TEST_CASE("terminal: the progress line is redrawn only where a terminal can, and never coloured") {
  const TemporaryFolder folder;
  engine::write_file(folder / "t.txt", "one two three four five six seven eight nine ten eleven twelve\n");
  on_terminal("dumb", {"tokenizer", "train", "--kind", "byte", "--out", folder / "tok"});
  on_terminal("dumb", {"prepare", "--tokenizer", folder / "tok", "--input", folder / "t.txt", "--out",
                       folder / "set"});
  const auto train = [&](const char* term) {
    return on_terminal(term, {"train",
                              "--out",
                              folder / (std::string("run-") + term),
                              "--set",
                              "budget.steps=2",
                              "--set",
                              "model.preset=gpt-125m",
                              "--set",
                              "model.layers=1",
                              "--set",
                              "model.width=8",
                              "--set",
                              "model.heads=1",
                              "--set",
                              "model.ffn_width=8",
                              "--set",
                              "model.context=8",
                              "--set",
                              "data.train=" + (folder / "set/train"),
                              "--set",
                              "data.tokenizer=" + (folder / "tok"),
                              "--set",
                              "data.batch=1",
                              "--set",
                              "log.tensorboard=false"});
  };
  const std::string dumb = train("dumb"), xterm = train("xterm");
  CHECK_THAT(dumb, Contains("step 2/2") && !Contains("\x1b"));
  CHECK_THAT(xterm, Contains("step 2/2") && Contains("\r\x1b[K"));
  CHECK_THAT(xterm, !Contains("\x1b[0") && !Contains("\x1b[3") &&
                        !Contains("\x1b[1"));  // NO_COLOR asks for nothing more
}
