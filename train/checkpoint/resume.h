// What may change between a checkpoint and the config that goes on from it. The model may not; every other
// key may, and a change that alters the numbers is said. Read first: training_state.h, config.h.
#pragma once

#include <string>

#include "models/config.h"
#include "train/config.h"

namespace train {

/// The keys that a checkpoint keeps for this comparison: all but the model, which it has as config.json.
/// data.accumulate is that of all ranks together: 4 ranks with 1 micro-batch each go on as 1 rank with 4.
engine::Json settings_json(const TrainConfig& config, int ranks);

/// Error: the checkpoint in `folder` is of another model; `rule`, the keys and both values.
void check_same_model(const models::ModelConfig& checkpoint, const models::ModelConfig& wanted,
                      const std::string& folder,
                      const std::string& rule = "a run goes on with the model that it began with");

/// Keys whose values differ, "optim.eps 1e-08 -> 0.001, ..."; empty: none.
struct ChangedSettings {
  std::string numbers;  // those that alter losses
  std::string others;   // budgets, validation, ...; not those of which nobody needs to hear (log, threads)
};
ChangedSettings changed_settings(const engine::Json& before, const TrainConfig& now, int ranks);

}  // namespace train
