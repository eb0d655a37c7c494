// Training whose updates are looked at: one run for each placement and seed, which differ in nothing else.
// Nothing of a run stays on disk. Read first: trainer.h, gradient_trace.h.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "train/trainer.h"

namespace train {

/// What all runs have in common: a config file with overrides.
struct WatchedConfig {
  std::string path;
  std::vector<std::string> overrides;
};

/// The config of one run: `placement` as norms (a preset's name or NormSpec text, "" for the config's own),
/// and the seed.
TrainConfig watched_config(const WatchedConfig& base, const std::string& placement, int64_t seed);

/// Trains until the budget is spent, `watch` returns false or a signal arrives; the last is an Interrupted.
struct Interrupted {};
void train_watched(TrainConfig config, const UpdateWatch& watch);

}  // namespace train
