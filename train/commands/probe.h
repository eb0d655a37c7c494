// What the files of `normlab probe` share. Read first: probe.cc.
#pragma once

#include "train/commands/cli.h"
#include "train/probes/saved_model.h"

namespace train {

inline const Flag page_flag = {"out", "FILE", "a page of the result (HTML)"};

int probe_gradients(int argc, char** argv);
int probe_stability(int argc, char** argv);

/// Flags that name a model and the rows to look at, and those of computing.
std::vector<Flag> with_row_flags(std::vector<Flag> flags, Arity model);
/// Error, before the model is opened: flags of rows that do not go together.
void check_row_flags(const Arguments& args);
ProbeRows rows_of(const Arguments& args, const OpenModel& open);

/// {"placement", "layers"} of a model.
engine::Json placement_json(const models::ModelConfig& config);
/// Error, before the work: --out names a file that is not to be replaced, such as one of the `inputs` (the
/// names of flags; token shards with their record).
void check_probe_page(const Arguments& args, const std::vector<std::string>& inputs);
/// The page that --out names, if it does.
void write_probe_page(const Arguments& args, const std::string& command, const engine::Json& results);
/// The JSON object of a probe; empty model and data are null. `config`: of a probe that trains, which has no
/// model that it reads.
void print_probe_json(const std::string& command, const std::string& model, const std::string& data,
                      const std::string& precision, double seconds, const engine::Json& results,
                      const std::string& config = "");

}  // namespace train
