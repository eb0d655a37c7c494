// Read first: log.h.
#include "engine/base/log.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

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

void write_log(LogLevel level, const std::string& line) {
  const char* prefix = level == LogLevel::warning ? "warning: " : "";
  std::fprintf(stderr, "%s%s\n", prefix, message_line(line).c_str());  // one call, so that threads do not mix their lines
}

}  // namespace engine
