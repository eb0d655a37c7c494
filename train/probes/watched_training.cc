// Read first: watched_training.h.
#include "train/probes/watched_training.h"

#include <unistd.h>

#include <cstdlib>

#include "engine/base/check.h"
#include "engine/base/folder.h"

namespace train {

namespace {

// A folder for what a run cannot do without, gone with its owner.
struct ScratchFolder {
  ScratchFolder() {
    path = engine::temporaries_folder() + "/normlab-probe-XXXXXX";
    engine::check(::mkdtemp(path.data()) != nullptr, path, ": cannot create a folder for the run");
  }
  ~ScratchFolder() { engine::remove_tree(path); }
  std::string path;
};

}  // namespace

TrainConfig watched_config(const WatchedConfig& base, const std::string& placement, int64_t seed) {
  TrainConfig config = load_config(base.path, base.overrides);
  if (!placement.empty()) config.model["norms"] = placement;
  config.seed = seed;
  config.log = {.every = int64_t(1) << 40, .layers = 0, .tensorboard = false};
  config.eval = {};
  config.checkpoint = {};
  config.data.valid.clear();
  return config;
}

void train_watched(TrainConfig config, const UpdateWatch& watch) {
  const ScratchFolder folder;
  RunDir run(folder.path, RunStart::fresh);
  Trainer trainer(config, resolve_model_config(config), run);
  trainer.watch(watch);
  if (trainer.run() == RunEnd::interrupted) throw Interrupted{};
}

}  // namespace train
