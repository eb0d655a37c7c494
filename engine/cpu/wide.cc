// Read first: wide.h.
#include "engine/cpu/wide.h"

#include <atomic>

namespace engine {
namespace {
std::atomic<int64_t> limit{int64_t(1) << 19};
}

int64_t wide_work() { return limit.load(std::memory_order_relaxed); }
int64_t wide_elements() { return wide_work() / 64; }
void set_wide_work(int64_t multiply_adds) { limit.store(multiply_adds, std::memory_order_relaxed); }

}  // namespace engine
