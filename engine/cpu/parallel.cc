// Read first: parallel.h.
#include "engine/cpu/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

#if defined(ENGINE_STD_THREADS)
#include <thread>
#include <vector>
#else
#include <omp.h>
#endif

namespace engine::cpu {
namespace {

int default_threads() {
  for (const char* name : {"NORMLAB_THREADS", "OMP_NUM_THREADS"}) {
    if (const char* text = std::getenv(name)) {
      const int n = std::atoi(text);
      if (n > 0) return std::min(n, 1024);
    }
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return 1;
}

std::atomic<int> threads_in_use{0};

}  // namespace

int thread_count() {
  int n = threads_in_use.load(std::memory_order_relaxed);
  if (n == 0) threads_in_use.store(n = default_threads(), std::memory_order_relaxed);
  return n;
}

void set_thread_count(int threads) { threads_in_use.store(std::max(1, threads)); }

namespace detail {

#if defined(ENGINE_STD_THREADS)

void parallel_run(int64_t tasks, void (*run)(void*, int64_t), void* context) {
  static thread_local bool inside = false;
  const int n = inside ? 1 : int(std::min<int64_t>(thread_count(), tasks));
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    inside = true;
    for (int64_t task; (task = next.fetch_add(1)) < tasks;) run(context, task);
  };
  std::vector<std::thread> helpers;
  for (int i = 1; i < n; ++i) helpers.emplace_back(work);
  const bool outer = inside;
  work();
  inside = outer;
  for (auto& helper : helpers) helper.join();
}

#else

void parallel_run(int64_t tasks, void (*run)(void*, int64_t), void* context) {
  if (omp_in_parallel()) {
    for (int64_t task = 0; task < tasks; ++task) run(context, task);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1) num_threads(thread_count())
  for (int64_t task = 0; task < tasks; ++task) run(context, task);
}

#endif

}  // namespace detail
}  // namespace engine::cpu
