// Read first: profile.h.
#include "engine/base/profile.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>

#include "engine/base/clock.h"

namespace engine {
namespace {

thread_local ProfileScope* innermost = nullptr;

// Seconds and visits by name; printed when the program ends.
struct Profile {
  struct Entry {
    double seconds = 0;
    int64_t visits = 0;
  };
  bool on = std::getenv("NORMLAB_PROFILE") != nullptr;
  std::mutex mutex;
  std::map<std::string, Entry> entries;
  ~Profile() {
    for (const auto& [name, e] : entries)
      std::fprintf(stderr, "profile: %-24s %10.3f s %10lld visits\n", name.c_str(), e.seconds,
                   (long long)e.visits);
  }
};
Profile& profile() {
  static Profile p;
  return p;
}

}  // namespace

ProfileScope::ProfileScope(const char* name, int64_t index)
    : name_(name), index_(index), start_(profile().on ? now() : 0), outer_(innermost) {
  innermost = this;
}

ProfileScope::~ProfileScope() {
  innermost = outer_;
  if (!profile().on) return;
  const std::lock_guard lock(profile().mutex);
  Profile::Entry& e = profile().entries[name_];
  e.seconds += now() - start_;
  ++e.visits;
}

std::string current_scope() {
  std::string text;
  for (const ProfileScope* s = innermost; s; s = s->outer_) {
    std::string part = s->name_;
    if (s->index_ >= 0) part += " " + std::to_string(s->index_);
    text = text.empty() ? part : part + " " + text;
  }
  return text;
}

}  // namespace engine
