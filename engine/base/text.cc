// Read first: text.h.
#include "engine/base/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace engine {

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<int>> d(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = int(i);
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = int(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::string nearest_word(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string_view head = word.substr(0, 64);  // hostile input must not cost quadratic time
  std::string best;
  int best_distance = 1 << 30;
  for (const std::string& candidate : candidates) {
    const int distance = edit_distance(head, candidate);
    if (distance < best_distance) best = candidate, best_distance = distance;
  }
  return best;
}

std::string one_of(const std::vector<std::string>& words) {
  std::string out;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

namespace {
std::string with_unit(double value, double step, const std::vector<const char*>& units, const char* format) {
  size_t unit = 0;
  while (std::fabs(value) >= step && unit + 1 < units.size()) value /= step, ++unit;
  char text[64];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f%s" : format, value, units[unit]);
  return text;
}
}  // namespace

std::string human_bytes(double bytes) {
  return with_unit(bytes, 1024, {" B", " KiB", " MiB", " GiB", " TiB", " PiB"}, "%.1f%s");
}
std::string human_count(double count) { return with_unit(count, 1000, {"", "k", "M", "B", "T"}, "%.1f%s"); }

std::string human_seconds(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "?";
  const int64_t s = int64_t(seconds + 0.5);
  char text[64];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", (long long)(s / 3600), (long long)(s / 60 % 60),
                  (long long)(s % 60));
  else
    std::snprintf(text, sizeof text, "%lld:%02lld", (long long)(s / 60), (long long)(s % 60));
  return text;
}

}  // namespace engine
