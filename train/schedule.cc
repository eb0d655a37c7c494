// Read first: schedule.h.
#include "train/schedule.h"

#include <algorithm>
#include <cmath>

#include "engine/base/check.h"

namespace train {
namespace {

constexpr double pi = 3.141592653589793238462643;
constexpr double kFirstLook = 0.02;  // of the time: the first updates are slow, and say little of the speed

/// From `from` at share 0 to `to` at share 1 along half a cosine.
double half_cosine(double from, double to, double share) {
  return to + 0.5 * (from - to) * (1 + std::cos(pi * share));
}

}  // namespace

Schedule::Schedule(const ScheduleConfig& config, double peak, int64_t total)
    : config_(config), peak_(peak), total_(config.steps > 0 ? config.steps : total) {
  engine::check(peak >= 0 && std::isfinite(peak), "schedule: peak rate ", peak,
                " must be finite and at least 0");
  engine::check(total_ >= 0, "schedule: ", total_, " updates");
  engine::check(config.name != ScheduleKind::inverse_sqrt || config.warmup > 0,
                "schedule: inverse_sqrt needs a warm-up of at least one update");
}

int64_t Schedule::counted(int64_t completed) const {
  switch (config_.counting) {
    case Counting::completed: return completed;
    case Counting::current: return completed + 1;
    case Counting::split: return completed < config_.warmup ? completed + 1 : completed;
  }
  return completed;
}

double Schedule::rate(int64_t completed) const { return rate_of_run(completed, double(total_)); }

/// In a run of `total` updates; 0: unknown.
double Schedule::rate_of_run(int64_t completed, double total) const {
  engine::check(completed >= 0, "schedule: ", completed, " completed updates");
  const double n = double(counted(completed)), w = double(config_.warmup);
  if (config_.name == ScheduleKind::ramp) return config_.warmup_from + n * config_.ramp_step;
  const bool warming = config_.counting == Counting::split ? completed < config_.warmup : n < w;
  if (warming) return warm_up(n);
  // A warm-up as long as the run leaves no updates to decay in: the rate only rises.
  const bool decays = total > w;
  if (config_.name == ScheduleKind::wsd) return wsd(decays ? n / total : 0);
  return after_warm_up(n, decays ? std::min((n - w) / (total - w), 1.0) : 0);
}

double Schedule::rate(int64_t completed, double spent) const {
  engine::check(spent >= 0, "schedule: share of the time ", spent);
  const bool by_clock = config_.name == ScheduleKind::linear || config_.name == ScheduleKind::polynomial ||
                        config_.name == ScheduleKind::wsd ||
                        (config_.name == ScheduleKind::cosine && config_.period == 0);
  if (!by_clock || completed < config_.warmup || config_.steps > 0) return rate(completed);
  const double share = std::min(spent, 1.0);
  if (total_ > 0) {
    if (share < kFirstLook) return rate(completed);
    return rate_of_run(completed, std::min(double(total_), double(counted(completed)) / share));
  }
  return config_.name == ScheduleKind::wsd ? wsd(share) : after_warm_up(double(counted(completed)), share);
}

double Schedule::warm_up(double n) const {
  return config_.warmup_from + (n / double(config_.warmup)) * (peak_ - config_.warmup_from);
}

double Schedule::after_warm_up(double n, double share) const {
  const double end = config_.min_lr;
  switch (config_.name) {
    case ScheduleKind::linear: return (peak_ - end) * (1 - share) + end;
    case ScheduleKind::polynomial: return (peak_ - end) * std::pow(1 - share, config_.power) + end;
    case ScheduleKind::cosine:
      return config_.period > 0 ? cosine_with_restarts(n - double(config_.warmup))
                                : half_cosine(peak_, end, share);
    case ScheduleKind::inverse_sqrt: return peak_ * std::sqrt(double(config_.warmup) / n);
    case ScheduleKind::constant:
    case ScheduleKind::wsd:
    case ScheduleKind::ramp: break;
  }
  return peak_;
}

/// Loshchilov and Hutter, "SGDR" (2017), with fairseq's shrinking: period i has length T·m^i and rates scaled
/// by s^i.
double Schedule::cosine_with_restarts(double updates) const {
  const double length = double(config_.period), m = config_.period_factor;
  double i, at, length_i = length;
  constexpr double kNoGrowth = 1e-9;  // below it nothing is left of m - 1 in the logarithms
  if (m - 1 > kNoGrowth) {
    i = std::floor(std::log(1 - updates / length * (1 - m)) / std::log(m));
    length_i = std::pow(m, i) * length;
    at = updates - (1 - std::pow(m, i)) / (1 - m) * length;
  } else {
    i = std::floor(updates / length);
    at = updates - length * i;
  }
  const double shrink = std::pow(config_.shrink, i);
  return half_cosine(peak_ * shrink, config_.min_lr * shrink, at / length_i);
}

/// Warm-up, stable, decay: the peak until the last decay_fraction of the run. Shapes: Hägele et al., "Scaling
/// Laws and Compute-Optimal Training Beyond Fixed Training Durations" (2024), who find 1 - sqrt best.
double Schedule::wsd(double share) const {
  const double start = 1 - config_.decay_fraction, end = config_.min_lr;
  if (share <= start || config_.decay_fraction == 0) return peak_;
  const double q = std::min((share - start) / config_.decay_fraction, 1.0);
  switch (config_.decay_shape) {
    case DecayShape::linear: return peak_ + (end - peak_) * q;
    case DecayShape::sqrt: return end + (peak_ - end) * (1 - std::sqrt(q));
    case DecayShape::cosine: return half_cosine(peak_, end, q);
  }
  return peak_;
}

}  // namespace train
