// Read first: stability.h.
#include "train/probes/stability.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/clock.h"

namespace train {

namespace {
constexpr int64_t kWindow = 10;
constexpr double kLearnt = 0.2;  // nats below U from which on the run has something to lose
}  // namespace

std::optional<RampFailure> RampJudge::observe(double loss, double gradient_norm) {
  losses_.push_back(loss);
  const int64_t step = int64_t(losses_.size());
  if (!std::isfinite(loss) || !std::isfinite(gradient_norm)) return RampFailure{"nonfinite", step, step};
  if (step < kWindow) return {};
  const std::vector<double> window(losses_.end() - kWindow, losses_.end());
  const double median = engine::median(window);
  best_ = best_ ? std::min(*best_, median) : median;
  const double limit =
      level_ - *best_ >= kLearnt ? (*best_ + level_) / 2 : std::max(level_, losses_.front()) + 1;
  if (median <= limit) return {};
  const auto first = std::find_if(window.begin(), window.end(), [&](double x) { return x > limit; });
  return RampFailure{"loss", step - kWindow + 1 + (first - window.begin()), step};
}

std::optional<double> median_with_survivors(const std::vector<std::optional<double>>& values) {
  std::vector<double> known;
  for (const auto& v : values) known.push_back(v.value_or(std::numeric_limits<double>::infinity()));
  if (known.empty()) return {};
  // (The mean of the two middle ones is infinite when one of them is.)
  std::sort(known.begin(), known.end());
  const size_t half = known.size() / 2;
  const double median = known.size() % 2 ? known[half] : (known[half - 1] + known[half]) / 2;
  if (std::isinf(median)) return {};
  return median;
}

}  // namespace train
