// What the system lets this process use: memory and processors, whatever sets the limit (the machine, a
// control group of version 1 or 2 or one above it, ulimit, an affinity mask).
#pragma once

#include <string>

namespace engine {

/// Bytes that this process may still allocate; 0 when nothing says. `root` stands before /proc and the mount
/// points of the control groups: tests read a tree of their own.
double available_memory(const std::string& root = "");
/// Threads that can run at once: the affinity mask's processors, or fewer where a quota allows less of their
/// time (rounded up).
int available_processors(const std::string& root = "");

}  // namespace engine
