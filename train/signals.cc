// Read first: signals.h.
#include "train/signals.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <iterator>
#include <mutex>

#include "engine/base/stop.h"

namespace train {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
struct sigaction old_actions[std::size(kSignals)];
std::mutex guards_mutex;
int guards = 0;  // ranks that are threads have one each
std::atomic<bool> silent{false};  // until one who speaks has a guard
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int signal) {
  const int kept = errno;  // of what was interrupted
  if (engine::stop_requested()) {
    if (signal == SIGINT || signal == SIGTERM) _exit(130);
    return;
  }
  engine::request_stop();
  if (silent) return;
  const char text[] = "\nstopping at the next safe point; once more to stop at once\n";
  [[maybe_unused]] const ssize_t n = write(2, text, sizeof text - 1);
  errno = kept;
}

}  // namespace

SignalGuard::SignalGuard(bool speaks) {
  const std::lock_guard lock(guards_mutex);
  if (guards == 0 || speaks) silent = !speaks;
  if (guards++ > 0) return;
  engine::clear_stop();
  struct sigaction action {};
  action.sa_handler = on_signal;
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    sigaction(kSignals[i], nullptr, &old_actions[i]);
    if (old_actions[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
}

SignalGuard::~SignalGuard() {
  const std::lock_guard lock(guards_mutex);
  if (--guards > 0) return;
  for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &old_actions[i], nullptr);
}

bool SignalGuard::raised() const { return engine::stop_requested(); }

void ignore_broken_pipes() { std::signal(SIGPIPE, SIG_IGN); }

}  // namespace train
