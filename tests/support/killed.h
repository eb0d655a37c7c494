// A process that is killed at a moment of its work.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "engine/base/check.h"

/// Does `work` in a child process and kills it after `microseconds`; whether it was still at work then.
template <class Work>
bool killed(useconds_t microseconds, const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      work();
    } catch (const engine::Error&) {
    }
    ::_exit(0);
  }
  ::usleep(microseconds);
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status);
}
