// Read first: stop_strings.h.
#include "data/stop_strings.h"

#include <algorithm>
#include <utility>

namespace data {

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopStrings::push(std::string_view piece) {
  if (found_) return {};
  held_ += piece;
  size_t end = std::string::npos;
  for (const std::string& stop : stops_) end = std::min(end, held_.find(stop));
  if (end != std::string::npos) {
    found_ = true;
    held_.resize(end);
    return std::exchange(held_, {});
  }
  // The longest end of the text that a stop could begin with.
  size_t kept = 0;
  for (const std::string& stop : stops_)
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > kept; --n)
      if (held_.ends_with(std::string_view(stop).substr(0, n))) {
        kept = n;
        break;
      }
  std::string shown = held_.substr(0, held_.size() - kept);
  held_.erase(0, held_.size() - kept);
  return shown;
}

std::string StopStrings::finish() { return std::exchange(held_, {}); }

}  // namespace data
