// What may change between a checkpoint and the config that goes on from it. The model may not, nor what
// decides which rows come, nor the moments; every other key may, and a change that alters the numbers is
// said. Read first: training_state.h, config.h.
#pragma once

#include <functional>
#include <string>

#include "data/batches.h"
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

/// Goes to where a checkpoint of `run` stood in the rows; `seek` is refused where they are others.
void seek_rows(const TrainConfig& config, const std::string& run, const std::function<void()>& seek);

/// Error: the run cannot go on from its newest intact checkpoint, if it has one, with this model, these rows
/// and this optimizer. Weights and moments are not read.
void check_checkpoint(const std::string& run, const TrainConfig& config, const models::ModelConfig& model,
                      data::BatchSource& rows);

/// Keys whose values differ, "optim.eps 1e-08 -> 0.001, ..."; empty: none.
struct ChangedSettings {
  std::string numbers;  // those that alter losses
  std::string others;   // budgets, validation, ...; not those of which nobody needs to hear (log, threads)
};
ChangedSettings changed_settings(const engine::Json& before, const TrainConfig& now, int ranks);

}  // namespace train
