// Runs the built normlab with a shell command line and keeps its exit code and what it printed.
#pragma once

#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

struct Output {
  int code;          // -1: ended by a signal
  std::string text;  // stdout and stderr together
};

inline Output run_binary(const std::string& arguments) {
  FILE* pipe = popen(("{ " BINARY_DIR "/normlab " + arguments + "; } 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  Output out;
  char block[4096];
  for (size_t n; (n = fread(block, 1, sizeof block, pipe)) > 0;) out.text.append(block, n);
  const int status = pclose(pipe);
  out.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return out;
}
