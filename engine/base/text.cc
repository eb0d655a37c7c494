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

std::string near_word(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string_view head = word.substr(0, 64);
  const std::string nearest = nearest_word(head, candidates);
  if (nearest.empty()) return {};
  if (head.size() > 2) {
    const std::string* begun = nullptr;  // the shortest that begins so: "norms" for "norm", not "norm_eps"
    for (const std::string& candidate : candidates)
      if (candidate.starts_with(head) && (!begun || candidate.size() < begun->size())) begun = &candidate;
    if (begun) return *begun;
  }
  const size_t most = 1 + std::max(head.size(), nearest.size()) / 4;
  return size_t(edit_distance(head, nearest)) <= most && head.size() > 1 ? nearest : "";
}

std::string near_hint(std::string_view word, const std::vector<std::string>& candidates,
                      std::string_view before, std::string_view after) {
  const std::string near = near_word(word, candidates);
  if (!near.empty()) return std::string(before) + near + std::string(after);
  constexpr size_t few = 12;
  return candidates.empty() || candidates.size() > few ? "" : " (valid: " + one_of(candidates) + ")";
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

/// The bytes of the character that `text` begins with and its code; code -1 for a byte that begins none.
struct Character {
  size_t bytes;
  int32_t code;
};

Character first_character(std::string_view text) {
  const auto byte = [&](size_t i) { return int32_t(uint8_t(text[i])); };
  const int32_t lead = byte(0);
  if (lead < 0x80) return {1, lead};
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {1, -1};
  int32_t code = lead & (0x7f >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {1, -1};
    code = code << 6 | (byte(i) & 0x3f);
  }
  const bool shortest = code >= (bytes == 4 ? 0x10000 : bytes == 3 ? 0x800 : 0x80);
  const bool valid = shortest && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
  return valid ? Character{bytes, code} : Character{1, -1};
}

bool commands_terminal(int32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x061c ||
         (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::string printable(std::string_view text, std::string_view keep) {
  std::string out;
  while (!text.empty()) {
    const Character c = first_character(text);
    char escape[16];
    if (c.code >= 0 && (!commands_terminal(c.code) || keep.find(text[0]) != std::string_view::npos)) {
      out += text.substr(0, c.bytes);
    } else if (c.code == '\n' || c.code == '\t' || c.code == '\r') {
      out += c.code == '\n' ? "\\n" : c.code == '\t' ? "\\t" : "\\r";
    } else {
      std::snprintf(escape, sizeof escape, c.code < 0x80 ? "\\x%02x" : "\\u%04x",
                    c.code < 0x80 ? unsigned(uint8_t(text[0])) : unsigned(c.code));
      out += escape;
    }
    text.remove_prefix(c.bytes);
  }
  return out;
}

std::string message_line(std::string_view text) {
  constexpr size_t kHead = 1200, kTail = 800;
  if (text.size() <= kHead + kTail) return printable(text);
  size_t head = kHead, tail = text.size() - kTail;
  const auto inside = [&](size_t i) { return (uint8_t(text[i]) & 0xc0) == 0x80; };  // of a character
  for (size_t i = 0; i < 3 && inside(head); ++i) --head;
  for (size_t i = 0; i < 3 && inside(tail); ++i) ++tail;
  return printable(text.substr(0, head)) + " [... " + std::to_string(tail - head) + " bytes ...] " +
         printable(text.substr(tail));
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
