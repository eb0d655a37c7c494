// Read first: count_progress.h.
#include "train/evaluation/count_progress.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/text.h"

namespace train {

CountProgress::CountProgress(std::string task, std::string pieces, int64_t total)
    : task_(std::move(task)),
      pieces_(std::move(pieces)),
      total_(total),
      terminal_(::isatty(2) != 0),
      started_(engine::now()),
      last_(started_) {}

CountProgress::~CountProgress() {
  if (drawn_ && terminal_) std::fputs("\r\033[K", stderr);
}

void CountProgress::update(int64_t done, double share) {
  if (engine::log_level() < engine::LogLevel::info) return;
  const double time = engine::now();
  if (time - last_ < (terminal_ ? 0.1 : 10)) return;
  last_ = time;
  drawn_ = true;
  const std::string eta =
      share > 0 ? "  ETA " + engine::human_seconds((time - started_) * (1 - share) / share) : "";
  std::fprintf(stderr, "%s%s: %lld/%lld %s%s%s", terminal_ ? "\r\033[K" : "", task_.c_str(), (long long)done,
               (long long)total_, pieces_.c_str(), eta.c_str(), terminal_ ? "" : "\n");
}

}  // namespace train
