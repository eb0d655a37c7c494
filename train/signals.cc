// Read first: signals.h.
#include "train/signals.h"

#include <unistd.h>

#include <csignal>

namespace train {
namespace {

volatile std::sig_atomic_t flag = 0;
struct sigaction old_int, old_term;

void on_signal(int) {
  if (flag) _exit(130);
  flag = 1;
  const char text[] = "\nstopping at the next safe point; once more to stop at once\n";
  [[maybe_unused]] const ssize_t n = write(2, text, sizeof text - 1);
}

}  // namespace

SignalGuard::SignalGuard() {
  flag = 0;
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, &old_int);
  sigaction(SIGTERM, &action, &old_term);
}

SignalGuard::~SignalGuard() {
  sigaction(SIGINT, &old_int, nullptr);
  sigaction(SIGTERM, &old_term, nullptr);
}

bool SignalGuard::raised() const { return flag != 0; }

}  // namespace train
