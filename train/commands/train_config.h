// The config of `normlab train` before it is read: the file or the run's own, --from, --set, and what a run that
// goes on may not change. Read first: config.h, commands/cli.h.
#pragma once

#include <string>

#include "engine/comm/communicator.h"
#include "train/commands/cli.h"
#include "train/config.h"

namespace train {

/// The config file. Where it is the run's own (--resume without --config), rank 0 alone reads it: other machines
/// need not see the folder. `from_text`: the run begins with a text, so there is none of its own.
engine::Json config_file(const Arguments& args, engine::Communicator& ranks, bool from_text);

/// `json` with --from and --set. `from_text`: without the places of data, which are made of the text; error: --set
/// names one.
engine::Json given_json(const Arguments& args, engine::Json json, bool from_text);

/// What the model that `from` names brings where the config says nothing: its tokenizer, its way of training.
void complete_from(engine::Json& json);

/// Of the run in `run`, which goes on with `json`. Error: other weights to start from than it began with; and, where
/// the config is the run's own, data that is not where it says.
void check_goes_on(const engine::Json& json, const std::string& run, bool own);

/// Error: the first key in which a rank's config is not rank 0's, with both values.
void check_same_config(engine::Communicator& ranks, const engine::Json& config);

}  // namespace train
