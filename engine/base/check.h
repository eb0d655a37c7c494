// Errors that a caller can cause, and nothing else.
//
// check(condition, parts...) throws Error with the parts joined into one line when the condition is false.
// The parts are formatted only on failure. A message says the op, the values and the rule that was broken:
//   linear: weight [768, 3072] needs input last dim 3072, got [8, 128, 768]
// Broken invariants of our own are assert()s. The command line turns an Error into exit code 2.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace engine {

/// The caller's mistake or bad input: one clear line for a person.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Joins anything that has operator<< into one string.
template <class... Parts>
std::string join_text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Error(join_text(parts...));
}

template <class... Parts>
inline void check(bool condition, const Parts&... parts) {
  if (!condition) [[unlikely]]
    fail(parts...);
}

}  // namespace engine
