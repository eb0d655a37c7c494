// Read first: ramp_run.h.
#include "train/probes/ramp_run.h"

#include <algorithm>
#include <cmath>

#include "train/failure.h"

namespace train {

TrainConfig ramp_config(const WatchedConfig& base, const std::string& placement, int64_t seed,
                        const RampSettings& ramp) {
  TrainConfig config = watched_config(base, placement, seed);
  config.schedule = {.name = ScheduleKind::ramp, .ramp_step = ramp.step};
  config.budget = {.steps = int64_t(std::ceil(ramp.max_lr / ramp.step)) + 1};
  if (ramp.updates > 0) config.budget.steps = std::min(config.budget.steps, ramp.updates);
  return config;
}

RampRun run_ramp(const TrainConfig& config, double level,
                 const std::function<void(TrainConfig, const UpdateWatch&)>& train) {
  RampRun out{.seed = config.seed};
  RampJudge judge(level);
  std::vector<double> rates;
  // A loss scaler skips updates whose gradient overflows: that is its work, and no failure.
  const bool scaled = config.precision == PrecisionKind::f16;
  try {
    train(config, [&](const UpdateView& update) {
      rates.push_back(update.lr);
      out.failure = judge.observe(update.loss, scaled ? 0 : update.norm);
      return !out.failure;
    });
  } catch (const Divergence&) {
    const int64_t step = int64_t(rates.size());
    out.failure = RampFailure{scaled ? "scaler" : "nonfinite", step, step};
  }
  if (out.failure) out.lr = rates[size_t(out.failure->step - 1)];
  return out;
}

}  // namespace train
