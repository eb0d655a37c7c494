// Where in a kernel file something was asked for: every function of the stand-in takes its caller's line as
// its last, defaulted argument, so that a message can name it.
#pragma once

namespace engine::standin {

/// Not std::source_location, which clang 14 does not have.
struct Where {
  const char* file = "?";
  int line = 0;

  /// As a default argument: the file and line of the call that leaves the argument out.
  static constexpr Where here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

}  // namespace engine::standin
