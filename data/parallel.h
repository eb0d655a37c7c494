// Threads for text work: independent pieces handed out in order, so that results never depend on how many
// threads ran.
//
// The rule of use: piece i reads what it likes and writes only its own slot i; whoever needs one result joins
// the slots in order afterwards. (Tensor kernels have their own pool in engine/cpu; data/ may not depend on
// it.)
#pragma once

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/base/stop.h"
#include "engine/base/thread.h"

namespace data {

/// The processors this machine offers; at least 1.
inline int default_threads() { return std::max(1, int(std::thread::hardware_concurrency())); }

/// Calls work(i) for i in [0, pieces) on up to `threads` threads (0: default_threads()). The first exception,
/// in order of i among those thrown, is rethrown here after all threads have stopped; no new pieces start
/// after one, nor when the program is asked to stop (engine::Stopped).
template <class Work>
void parallel_pieces(size_t pieces, int threads, const Work& work) {
  if (threads <= 0) threads = default_threads();
  threads = int(std::min<size_t>(size_t(threads), pieces));
  if (threads <= 1) {
    for (size_t i = 0; i < pieces; ++i) engine::check_stop(), work(i);
    return;
  }
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  size_t error_piece = pieces;
  const auto loop = [&] {
    for (size_t i; (i = next.fetch_add(1)) < pieces;) {
      try {
        engine::check_stop();
        work(i);
      } catch (...) {
        next.store(pieces);
        const std::lock_guard lock(mutex);
        if (i < error_piece) error = std::current_exception(), error_piece = i;
      }
    }
  };
  std::vector<std::thread> others;
  others.reserve(size_t(threads));
  try {
    while (int(others.size()) + 1 < threads) others.push_back(engine::start_thread(loop));
  } catch (const engine::Error&) {  // fewer threads do the same work
  }
  loop();
  for (std::thread& thread : others) thread.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace data
