// The memory plan of a run, printed before it starts; a run that cannot fit is refused with settings that
// would.
#pragma once

#include <string>

#include "models/config.h"
#include "train/config.h"

namespace train {

/// Bytes that this machine can still give to tensors on `device`: the device's own memory, or the host's
/// where it takes of that (the stand-in). 0: not known.
double available_memory_of(engine::Device device);

/// Bytes of tensors that the run will take at its peak: one of `ranks` ranks, the one that writes checkpoints.
double planned_memory(const TrainConfig& config, const models::ModelConfig& model, int64_t context,
                      int ranks = 1);

/// The plan of a rank as one line for people. Error when it exceeds `available`, naming the first three settings that
/// would make the run fit, each with what the run would then need.
std::string check_memory(const TrainConfig& config, const models::ModelConfig& model, int64_t context,
                         double available, int ranks = 1);

}  // namespace train
