// A command that is interrupted and killed again and again until it ends by itself.
#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <functional>
#include <string>

/// Starts line(attempt), a command of the shell, lets it run for `first` + attempt * `more` milliseconds and
/// stops it by SIGKILL and SIGINT in turn, until one attempt ends with 0 or there have been `attempts`. How
/// often it was stopped.
inline int run_in_pieces(int attempts, int first, int more, const std::function<std::string(int)>& line) {
  int stops = 0;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const std::string command = "exec " + line(attempt) + " >/dev/null 2>&1";
    const pid_t child = ::fork();
    if (child == 0) {
      ::setpgid(0, 0);
      ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
    ::usleep(useconds_t(1000 * (first + more * attempt)));
    ::kill(child, attempt % 2 ? SIGINT : SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) break;
    if (WIFEXITED(status)) CHECK(WEXITSTATUS(status) == 130);
    ++stops;
  }
  return stops;
}
