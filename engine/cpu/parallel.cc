// Read first: parallel.h.
//
// A pool of threads that wait for work. The caller publishes a job and takes tasks from it like everyone
// else; a worker joins when it is awake, and the caller waits only for workers that have joined. So a worker
// that the operating system has put aside (other programs use the cores) delays nothing: its share is done by
// the others. A barrier over all threads, which OpenMP's loops end with, would wait for it.
#include "engine/cpu/parallel.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/base/thread.h"

namespace engine::cpu {
namespace {

int default_threads() {
  if (const char* text = std::getenv("NORMLAB_THREADS"); text && *text) {
    int n = 0;
    const char* const end = text + std::strlen(text);
    const auto [last, status] = std::from_chars(text, end, n);
    check(status == std::errc() && last == end && n >= 1 && n <= 1024, "NORMLAB_THREADS=", text,
          ": expected a number from 1 to 1024");
    return n;
  }
  const char* const theirs = std::getenv("OMP_NUM_THREADS");  // may be a list: its first number counts
  const int n = theirs ? std::atoi(theirs) : 0;
  return n > 0 ? std::min(n, 1024) : available_processors();
}

std::atomic<int> threads_in_use{0};

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// Waiting costs a processor that another program might use, sleeping costs a system call to wake up from:
// kernels of a step follow each other within microseconds, so a worker looks for the next job for some tens
// of them.
constexpr int kSpins = 1000;

class Pool {
 public:
  void run(int threads, int64_t tasks, void (*function)(void*, int64_t), void* context) {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) {  // another thread of this program is at it
      for (int64_t task = 0; task < tasks; ++task) function(context, task);
      return;
    }
    for (; started_ < threads - 1; ++started_) start_thread([this, i = started_] { work(i); }).detach();
    job_ = {tasks, function, context, int(std::min<int64_t>(threads, tasks)) - 1};
    next_.store(0, std::memory_order_relaxed);
    joined_.fetch_and(~kClosed);  // from here on workers may join
    generation_.fetch_add(1);
    if (sleeping_.load() > 0) generation_.notify_all();
    take_tasks(job_);
    joined_.fetch_or(kClosed);
    for (int spins = 0; joined_.load(std::memory_order_acquire) != kClosed; ++spins)
      spins < kSpins ? pause() : void(sched_yield());
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));  // nobody is left with its context
  }

 private:
  struct Job {
    int64_t tasks = 0;
    void (*function)(void*, int64_t) = nullptr;
    void* context = nullptr;
    int workers = 0;  // that may join
  };
  static constexpr uint32_t kClosed = uint32_t(1) << 31;

  void take_tasks(const Job& job) {
    try {
      for (int64_t task; (task = next_.fetch_add(1, std::memory_order_relaxed)) < job.tasks;)
        job.function(job.context, task);
    } catch (...) {                                       // memory for a kernel's panels has run out, say
      next_.store(job.tasks, std::memory_order_relaxed);  // the others stop too
      const std::lock_guard lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }

  void work(int index);

  uint32_t await(uint32_t seen) {
    for (int spins = 0; spins < kSpins; ++spins, pause())
      if (const uint32_t now = generation_.load(); now != seen) return now;
    sleeping_.fetch_add(1);
    generation_.wait(seen);
    sleeping_.fetch_sub(1);
    return generation_.load();
  }

  std::mutex mutex_;  // held by the caller of the job at work
  int started_ = 0;
  Job job_;  // written while closed, read by those who have joined
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint32_t> joined_{kClosed};  // workers in the job, and whether it is closed to more
  alignas(64) std::atomic<uint32_t> generation_{0};    // of jobs
  std::atomic<int> sleeping_{0};
  std::mutex error_mutex_;
  std::exception_ptr error_;  // the first of the job at work
};

thread_local bool inside_task = false;

void Pool::work(int index) {
  const FlushDenormals flush;
  inside_task = true;
  for (uint32_t seen = 0;;) {
    seen = await(seen);
    const bool open = !(joined_.fetch_add(1, std::memory_order_acq_rel) & kClosed);
    if (open && index < job_.workers) take_tasks(job_);
    joined_.fetch_sub(1, std::memory_order_release);
  }
}

Pool& pool() {
  static Pool* const p = new Pool;  // never destroyed: its threads run to the end of the program
  return *p;
}

}  // namespace

int thread_count() {
  int n = threads_in_use.load(std::memory_order_relaxed);
  if (n == 0) threads_in_use.store(n = default_threads(), std::memory_order_relaxed);
  return n;
}

void set_thread_count(int threads) { threads_in_use.store(std::max(1, threads)); }

namespace detail {

void parallel_run(int64_t tasks, void (*run)(void*, int64_t), void* context) {
  if (inside_task) {
    for (int64_t task = 0; task < tasks; ++task) run(context, task);
    return;
  }
  const struct Inside {
    Inside() { inside_task = true; }
    ~Inside() { inside_task = false; }
  } inside;
  pool().run(thread_count(), tasks, run, context);
}

}  // namespace detail
}  // namespace engine::cpu
