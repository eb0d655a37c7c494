// Runs the normlab binary, or any line of shell, as a user does, and says how it ended.
#pragma once

#include <sys/wait.h>

#include <cstdio>
#include <string>

struct ProgramEnd {
  int code = -1;       // exit code, or 128 + signal
  std::string output;  // stdout and stderr, as they came
  /// What it said last, without the line end.
  std::string last_line() const {
    const std::string text = output.substr(0, output.find_last_not_of('\n') + 1);
    const size_t newline = text.rfind('\n');
    return newline == std::string::npos ? text : text.substr(newline + 1);
  }
};

/// A command line through sh.
inline ProgramEnd run_shell(const std::string& command) {
  FILE* pipe = ::popen(("{ " + command + "; } 2>&1").c_str(), "r");
  ProgramEnd end;
  char buffer[4096];
  for (size_t n; pipe != nullptr && (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    end.output.append(buffer, n);
  if (pipe == nullptr) return end;
  const int status = ::pclose(pipe);
  end.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return end;
}

/// `normlab ARGUMENTS`, `before` in front of it: a pipe, or limits such as "ulimit -f 8;".
inline ProgramEnd run_normlab(const std::string& arguments, const std::string& before = "") {
  return run_shell(before + " " BINARY_DIR "/normlab " + arguments);
}
