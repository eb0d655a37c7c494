// Read first: log.h.
#include "engine/base/log.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "engine/base/log_rank.h"
#include "engine/base/text.h"

namespace engine {

LogLevel log_level() {
  static const LogLevel level = [] {
    const char* text = std::getenv("NORMLAB_LOG");
    if (!text) return LogLevel::info;
    const char* names[] = {"quiet", "warning", "info"};
    for (int i = 0; i < 3; ++i)
      if (std::strcmp(text, names[i]) == 0) return static_cast<LogLevel>(i);
    return LogLevel::info;
  }();
  return level;
}

namespace {
std::atomic<int> log_rank{0};
}

void set_log_rank(int rank) { log_rank = rank; }

void write_log(LogLevel level, const std::string& line) {
  const int rank = log_rank;
  if (rank > 0 && level != LogLevel::warning) return;
  std::string prefix = level == LogLevel::warning ? "warning: " : "";
  if (rank > 0) prefix += join_text("rank ", rank, ": ");
  std::fprintf(stderr, "%s%s\n", prefix.c_str(), message_line(line).c_str());  // one call, so that threads do not mix their lines
}

}  // namespace engine
