// One run of `probe stability`: training whose learning rate rises until it breaks. Read first: stability.h,
// watched_training.h.
#pragma once

#include <functional>
#include <optional>

#include "train/probes/stability.h"
#include "train/probes/watched_training.h"

namespace train {

struct RampSettings {
  double step = 0, max_lr = 0;
  int64_t updates = 0;  // at most; 0: as many as max_lr takes
};

/// The config of one run: update u has the rate (u - 1) * step, and the last one max_lr or the first above,
/// unless the updates end before.
TrainConfig ramp_config(const WatchedConfig& base, const std::string& placement, int64_t seed,
                        const RampSettings& ramp);

/// What became of one run; without a failure it came to its end.
struct RampRun {
  int64_t seed = 1;
  std::optional<RampFailure> failure;
  std::optional<double> lr;  // of the failing update
};

/// `level`: U, in nats. Training that diverges is a result; whatever else ends it, such as a device that is
/// lost, says nothing of the rate and is thrown on.
RampRun run_ramp(const TrainConfig& config, double level,
                 const std::function<void(TrainConfig, const UpdateWatch&)>& train = train_watched);

}  // namespace train
