// Log lines for people, on stderr. Machine-readable output never goes through here.
#pragma once

#include <string>

#include "engine/base/check.h"

namespace engine {

enum class LogLevel { quiet, warning, info };

/// The level comes from NORMLAB_LOG (quiet, warning, info); info without it.
LogLevel log_level();
void write_log(LogLevel level, const std::string& line);

template <class... Parts>
void log_info(const Parts&... parts) {
  if (log_level() >= LogLevel::info) write_log(LogLevel::info, join_text(parts...));
}
template <class... Parts>
void log_warning(const Parts&... parts) {
  if (log_level() >= LogLevel::warning) write_log(LogLevel::warning, join_text(parts...));
}

}  // namespace engine
