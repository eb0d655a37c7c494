// How many ranks have the same GPU. A launcher shows each rank all cards of its machine (mpirun) or one alone
// (srun
// --gpus-per-task=1, CUDA_VISIBLE_DEVICES): what a rank sees does not tell, so each says which card it has.
// Read first: communicator.h, engine/core/side_queue.h.
#pragma once

#include "engine/comm/communicator.h"

namespace engine {

/// Ranks that have this one's `device`, this one included; for set_device_sharers(). All ranks take part,
/// their devices open. 1 where a device cannot be shared.
int count_device_sharers(Communicator& ranks, Device device);

}  // namespace engine
