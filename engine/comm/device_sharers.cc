// Read first: device_sharers.h.
#include "engine/comm/device_sharers.h"

#include <algorithm>

#include "engine/core/side_queue.h"

namespace engine {

int count_device_sharers(Communicator& ranks, Device device) {
  if (ranks.size() == 1) return 1;
  std::string mine;
  ranks.agree([&] {
    const SideQueue* queue = side_queue_of(device);
    if (queue && queue->identity) mine = queue->identity();
  });
  const std::vector<std::string> all = ranks.gather(mine);
  return mine.empty() ? 1 : int(std::count(all.begin(), all.end(), mine));
}

}  // namespace engine
