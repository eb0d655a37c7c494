// The pool behind parallel_for: every task once, whatever the sizes, the callers and the number of threads.
#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "engine/cpu/parallel.h"

using namespace engine;

namespace {

struct ThreadCount {  // put back at the end
  int before = cpu::thread_count();
  ~ThreadCount() { cpu::set_thread_count(before); }
};

/// Sums [0, tasks) by parallel_for, and counts how often a task was not run exactly once.
int64_t wrong_tasks(int64_t tasks) {
  std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
  cpu::parallel_for(tasks, [&](int64_t i) { runs[size_t(i)].fetch_add(1, std::memory_order_relaxed); });
  return std::count_if(runs.begin(), runs.end(), [](const auto& n) { return n.load() != 1; });
}

}  // namespace

TEST_CASE("parallel_for: short jobs in quick succession, with growing and shrinking teams") {
  const ThreadCount keep;
  for (int round = 0; round < 300; ++round) {
    cpu::set_thread_count(1 + round % 9);
    CHECK(wrong_tasks(round % 17) == 0);
  }
}

TEST_CASE("parallel_for: several threads of a program call it at once") {
  const ThreadCount keep;
  cpu::set_thread_count(3);
  std::atomic<int64_t> wrong{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) wrong += wrong_tasks(i % 40);
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
}

TEST_CASE("parallel_for: what tasks wrote is seen by the caller, and by the next job") {
  const ThreadCount keep;
  cpu::set_thread_count(4);
  std::vector<int64_t> value(64, 1);  // plain: ThreadSanitizer watches
  for (int round = 0; round < 200; ++round) {
    cpu::parallel_for(64, [&](int64_t i) { value[size_t(i)] += 1; });
    CHECK(std::accumulate(value.begin(), value.end(), int64_t(0)) == 64 * (round + 2));
  }
}

TEST_CASE("parallel_for: a task that throws on the calling thread leaves the pool usable") {
  const ThreadCount keep;
  cpu::set_thread_count(3);
  const auto caller = std::this_thread::get_id();
  bool thrown = false;
  for (int round = 0; round < 50; ++round) {
    try {
      cpu::parallel_for(1000, [&](int64_t) {
        if (std::this_thread::get_id() == caller) throw std::runtime_error("task");
      });
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    CHECK(wrong_tasks(40) == 0);
  }
  CHECK(thrown);
}

TEST_CASE("parallel_for: what a task throws on any thread is thrown where the loop was called") {
  const ThreadCount keep;
  cpu::set_thread_count(3);
  const auto caller = std::this_thread::get_id();
  int thrown = 0;
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> met = 0;  // on threads of the pool
    try {
      cpu::parallel_for(1000, [&](int64_t) {
        if (std::this_thread::get_id() == caller) return std::this_thread::yield();
        ++met;
        throw std::runtime_error("task");
      });
      CHECK(met == 0);
    } catch (const std::runtime_error& e) {
      CHECK(std::string(e.what()) == "task");
      CHECK(met > 0);
      ++thrown;
    }
    CHECK(wrong_tasks(40) == 0);
  }
  CHECK(thrown > 0);
}

TEST_CASE("parallel_for: numbers too small for a full mantissa are zero on every thread, and only inside") {
  const ThreadCount keep;
  volatile float tiny = 1e-39f, small = 1e-20f;
  for (const int threads : {1, 3}) {
    cpu::set_thread_count(threads);
    std::atomic<int> wrong = 0;
    cpu::parallel_for(300, [&](int64_t) {
      if (tiny * 1.0f != 0.0f || small * small != 0.0f) ++wrong;
    });
    CHECK(wrong == 0);
    CHECK(tiny * 1.0f > 0.0f);
    CHECK(small * small > 0.0f);
  }
}
