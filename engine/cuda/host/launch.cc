// Read first: launch.h.
#include "engine/cuda/host/launch.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>

#include "engine/cuda/host/count.h"
#include "engine/cuda/host/order.h"
#include "engine/cuda/host/settings.h"

namespace engine::standin {
namespace {

// Of the cards that we build for, 8.6 and 8.9 give a block the least shared memory: 99 KiB.
constexpr size_t kMostShared = 99 * 1024;

struct Call {
  void (*kernel)();
  void (*call)(void (*)(), const void*);
  const void* argument;
};

std::vector<uint32_t> order_of_blocks(uint32_t blocks) {
  std::vector<uint32_t> order(blocks);
  std::iota(order.begin(), order.end(), 0u);
  if (settings().schedule == Schedule::reverse) std::reverse(order.begin(), order.end());
  if (settings().schedule == Schedule::random)
    std::shuffle(order.begin(), order.end(), std::minstd_rand(settings().seed));
  return order;
}

}  // namespace

void check_launch(const Launch& l) {
  const auto wrong = [&](const std::string& what) {
    throw KernelError(std::string(l.where.file) + ":" + std::to_string(l.where.line) + ": launch: " + what);
  };
  const auto grid = [&] {
    return std::to_string(l.grid.x) + " x " + std::to_string(l.grid.y) + " x " + std::to_string(l.grid.z);
  };
  if (l.threads < 32 || l.threads > 1024 || l.threads % 32)
    wrong("expected 32 to 1024 threads, whole warps, got " + std::to_string(int(l.threads)));
  if (l.grid.x < 1 || l.grid.y < 1 || l.grid.z < 1) wrong("the grid is empty: " + grid() + " blocks");
  if (l.grid.x > 0x7fffffffu || l.grid.y > 65535 || l.grid.z > 65535)
    wrong("the grid is too large: " + grid() + " blocks, of at most 2147483647 x 65535 x 65535");
  if (l.shared_bytes > kMostShared)
    wrong(std::to_string(l.shared_bytes) + " bytes of shared memory, of at most " +
          std::to_string(kMostShared));
}

void run_launch(const Launch& l) {
  const uint32_t blocks = l.grid.x * l.grid.y * l.grid.z;
  const std::vector<uint32_t> order = order_of_blocks(blocks);
  if (settings().count) count_launch_begin(l.where);
  const Call call{l.kernel, l.call, l.argument.data()};
  std::atomic<uint32_t> next = 0;
  std::mutex mutex;
  std::string error;
  const auto work = [&] {
    static thread_local Block block;
    block.grid = l.grid, block.size = dim3(l.threads);
    block.launch = launch_in_progress(), block.launched = l.where;
    block.call = [](const void* c) {
      const Call& call = *static_cast<const Call*>(c);
      call.call(call.kernel, call.argument);
    };
    block.argument = &call;
    block.random.seed(settings().seed);
    try {
      for (uint32_t i; (i = next++) < blocks;) {
        const uint32_t n = order[i];
        block.number = n;
        block.index = {n % l.grid.x, n / l.grid.x % l.grid.y, n / l.grid.x / l.grid.y};
        prepare_shared(block, l.shared_bytes);
        run_block(block, l.threads);
        if (settings().count) count_block_end();
      }
    } catch (const KernelError& e) {
      const std::lock_guard guard(mutex);
      error = e.what();
      next = blocks;
    }
    if (settings().count) count_worker_end();
  };
  const int workers = std::min<int>(settings().workers, int(blocks));
  if (workers <= 1) {
    work();
  } else {
    std::vector<std::thread> threads;
    for (int i = 0; i < workers; ++i) threads.emplace_back(work);
    for (std::thread& t : threads) t.join();
  }
  if (!error.empty()) throw KernelError(error);
}

}  // namespace engine::standin
