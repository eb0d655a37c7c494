// Ranks that are threads of one process: the transport by which everything between ranks is tested, under
// ThreadSanitizer too. Read first: communicator.h.
#pragma once

#include <functional>

#include "engine/comm/communicator.h"

namespace engine {

/// Calls `work` once on each of `ranks` threads, with that rank's communicator, and returns when all have
/// ended. What a rank throws ends the others; the exception of the lowest rank that was not ended by another
/// one is thrown here. `local`: ranks that count as on one machine; 0: all.
void run_rank_threads(int ranks, const std::function<void(Communicator&)>& work, int local = 0);

}  // namespace engine
