// Read first: progress.h.
#include "train/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <utility>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/text.h"

namespace train {
namespace {

constexpr double kSecondsBetweenLines = 2;

/// A terminal that clears a line when told so. TERM=dumb says that it does not; without TERM nobody knows.
bool has_lines_to_clear() {
  const char* term = std::getenv("TERM");
  return ::isatty(2) != 0 && term && *term && std::string_view(term) != "dumb";
}

int terminal_width() {
  winsize size{};
  return ::ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value && *value)
      return std::string(value).find("UTF-8") != std::string::npos ||
             std::string(value).find("utf8") != std::string::npos;
  }
  return false;
}

std::string format(const char* pattern, double x) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, x);
  return text;
}

}  // namespace

double eta_seconds(const ProgressState& s) {
  const double here = s.done - s.done_at_start;
  return here > 0 ? s.elapsed * std::max(0.0, 1 - s.done) / here : std::numeric_limits<double>::quiet_NaN();
}

std::string loss_text(double loss, bool with_perplexity) {
  if (std::isnan(loss)) return "loss nan";  // of either sign
  const double perplexity = std::exp(loss);
  return "loss " + format("%.4f", loss) +
         (with_perplexity ? "  ppl " + format(perplexity < 1000 ? "%.2f" : "%.4g", perplexity) : "");
}

std::string progress_line(const ProgressState& s) {
  const std::string mfu = s.mfu > 0 ? "  MFU " + format("%.0f%%", 100 * s.mfu) : "";
  return "step " + std::to_string(s.step) + (s.total_steps > 0 ? "/" + std::to_string(s.total_steps) : "") +
         "  " + loss_text(s.loss, s.perplexity) + "  " + engine::human_count(s.tokens_per_second) + " tok/s" +
         mfu + "  ETA " + engine::human_seconds(eta_seconds(s));
}

std::string progress_bar(const ProgressState& state, int width, bool unicode) {
  ProgressState s = state;
  if (width < 100) s.mfu = 0;
  const double done = std::clamp(s.done, 0.0, 1.0);
  std::string text = "  " + format("%3.0f", std::floor(100 * done)) + "%  " + progress_line(s);
  const int cells = std::min(30, width - 1 - int(text.size()));
  if (cells < 5) {  // a narrow terminal: the numbers matter more
    text = text.substr(2, size_t(std::max(0, width - 1)));
    return text;
  }
  const int filled = int(done * cells);
  std::string bar;
  for (int i = 0; i < cells; ++i) {
    if (unicode) {
      bar += i < filled ? "━" : i == filled ? "╸" : "─";
    } else {
      bar += i < filled ? '#' : '.';
    }
  }
  return bar + text;
}

Progress::Progress(int64_t every, bool silent)
    : every_(std::max<int64_t>(1, every)),
      silent_(silent),
      terminal_(has_lines_to_clear()),
      unicode_(locale_is_utf8()) {}

void Progress::update(const ProgressState& state) {
  if (silent_ || engine::log_level() < engine::LogLevel::info) return;
  if (!terminal_) {
    const bool first = !std::exchange(begun_, true);
    const double time = engine::now();
    const bool due = state.step % every_ == 0 && time - last_drawn_ >= kSecondsBetweenLines;
    if (first || due || state.done >= 1)
      last_drawn_ = time, std::fprintf(stderr, "%s  (%.0f%%)\n", progress_line(state).c_str(),
                   std::floor(100 * std::min(1.0, state.done)));
    return;
  }
  const double now = engine::now();
  if (now - last_drawn_ < 0.1 && state.done < 1) return;
  last_drawn_ = now;
  shown_ = progress_bar(state, terminal_width(), unicode_);
  std::fprintf(stderr, "\r\033[K%s", shown_.c_str());
}

void Progress::note(const std::string& line) {
  if (silent_ || (engine::log_level() < engine::LogLevel::info && !line.starts_with("warning"))) return;
  std::fprintf(stderr, "%s%s\n", terminal_ ? "\r\033[K" : "", engine::message_line(line).c_str());
  if (terminal_ && !shown_.empty()) std::fputs(shown_.c_str(), stderr);
}

void Progress::finish() {
  if (terminal_ && !shown_.empty()) std::fputc('\n', stderr);
  shown_.clear();
}

}  // namespace train
