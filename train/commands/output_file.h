// Where a command's result goes, looked at before the work begins. Read first: cli.h.
#pragma once

#include <string>
#include <vector>

#include "train/commands/cli.h"

namespace train {

/// The file that a flag names for a result, "" where it is not given. What stands there is replaced, but not
/// everything: error when it is a folder, one of `inputs`, or by its name a file that models, runs, corpora or
/// token shards live by (config.json, metrics.jsonl, model.safetensors, *.bin, ...).
std::string output_file(const Arguments& args, const std::string& flag,
                        const std::vector<std::string>& inputs = {});

}  // namespace train
