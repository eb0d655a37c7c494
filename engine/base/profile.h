// Profile scopes: where in the model the program is, and how long it stays there.
//
// A scope costs two writes when nothing listens. current_scope() names the innermost ones ("layer 3 attn"),
// for messages about the first bad value; with NORMLAB_PROFILE=1 the time spent in each name is summed and
// printed at exit.
#pragma once

#include <cstdint>
#include <string>

namespace engine {

class ProfileScope {
 public:
  /// `name` must outlive the scope (a literal); `index` >= 0 is shown behind it.
  explicit ProfileScope(const char* name, int64_t index = -1);
  ~ProfileScope();
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  friend std::string current_scope();
  const char* name_;
  int64_t index_;
  double start_;
  ProfileScope* outer_;
};

/// The open scopes of this thread, outermost first: "layer 3 attn"; empty outside all.
std::string current_scope();

}  // namespace engine
