// Where a command's result goes, looked at before the work begins. Read first: cli.h.
#pragma once

#include <string>
#include <vector>

#include "train/commands/cli.h"

namespace train {

/// Whether - may stand for standard output.
enum class Dash { refused, allowed };

/// The file that a flag names for a result, "" where it is not given, after check_output.
std::string output_file(const Arguments& args, const std::string& flag,
                        const std::vector<std::string>& inputs = {}, Dash dash = Dash::refused);

/// What stands at `path` is replaced, but not everything: error when it is no regular file, one of `inputs`,
/// or by its name a file that models, runs, corpora or token shards live by (config.json, metrics.jsonl,
/// model.safetensors, *.bin,
/// ...), and when its folder is not there. `what` names it.
void check_output(const std::string& what, const std::string& path, const std::vector<std::string>& inputs);

}  // namespace train
