// Several processes that write to one terminal (engine/comm/world.h). Read first: log.h.
#pragma once

namespace engine {

/// Processes above rank 0 say warnings alone, with their rank.
void set_log_rank(int rank);

}  // namespace engine
