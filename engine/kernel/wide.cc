// Read first: wide.h.
#include "engine/kernel/wide.h"

#include <atomic>

namespace engine {
namespace {
std::atomic<int64_t> limits[kDevices] = {int64_t(1) << 19};
}

int64_t wide_work(Device device) { return limits[int(device)].load(std::memory_order_relaxed); }
void set_wide_work(Device device, int64_t multiply_adds) {
  limits[int(device)].store(multiply_adds, std::memory_order_relaxed);
}

}  // namespace engine
