// Starting threads. The system may refuse one (limits on processes or memory), and std::thread's exception
// for that says neither what failed nor what helps.
#pragma once

#include <system_error>
#include <thread>
#include <utility>

#include "engine/base/check.h"

namespace engine {

template <class Work>
std::thread start_thread(Work&& work) {
  try {
    return std::thread(std::forward<Work>(work));
  } catch (const std::system_error& e) {
    fail("cannot start a thread (", e.code().message(),
         "): use fewer threads, or raise the limit on processes or memory (ulimit -u, ulimit -v)");
  }
}

}  // namespace engine
