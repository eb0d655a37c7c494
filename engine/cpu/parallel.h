// parallel_for: the one way in which work is spread over cores.
//
// How work is split depends on shapes only, never on the number of threads: a task computes a fixed piece of
// the output, a reduction writes a fixed number of partial sums that are then added in order. So any number
// of threads gives the same bits. Tasks are handed out dynamically, to a pool of threads (parallel.cc). A
// parallel_for inside a task, or beside another one, runs on the calling thread.
#pragma once

#include <cstdint>
#include <type_traits>

#include "engine/kernel/denormals.h"

namespace engine::cpu {

/// Number of threads: NORMLAB_THREADS, else OMP_NUM_THREADS, else the processors this process may use.
int thread_count();
void set_thread_count(int threads);

namespace detail {
void parallel_run(int64_t tasks, void (*run)(void* context, int64_t task), void* context);
}

/// Calls f(task) for every task in [0, tasks), in any order, on all threads; returns when all are done. What
/// f throws first ends the job, and is thrown here.
template <class F>
__attribute__((always_inline)) inline void parallel_for(int64_t tasks, F&& f) {
  using Function = std::remove_reference_t<F>;
  const FlushDenormals flush;  // as the pool's threads do: the same bits, whoever runs a task
  if (tasks <= 1 || thread_count() == 1) {
    for (int64_t task = 0; task < tasks; ++task) f(task);
    return;
  }
  detail::parallel_run(
      tasks, [](void* context, int64_t task) { (*static_cast<Function*>(context))(task); },
      const_cast<void*>(static_cast<const void*>(&f)));
}

/// parallel_for, or a loop on the calling thread.
template <class F>
__attribute__((always_inline)) inline void run_tasks(bool parallel, int64_t tasks, F&& f) {
  if (parallel) return parallel_for(tasks, f);
  for (int64_t task = 0; task < tasks; ++task) f(task);
}

/// Calls f(begin, end) for consecutive pieces of [0, n) of at most `grain` items. Small n stays on the
/// calling thread.
template <class F>
__attribute__((always_inline)) inline void parallel_chunks(int64_t n, int64_t grain, F&& f) {
  parallel_for((n + grain - 1) / grain, [&](int64_t chunk) {
    const int64_t begin = chunk * grain;
    f(begin, begin + grain < n ? begin + grain : n);
  });
}

}  // namespace engine::cpu
