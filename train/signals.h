// Ctrl-C and SIGTERM as a flag that the training loop looks at between updates.
#pragma once

namespace train {

/// While it lives, the first SIGINT or SIGTERM only raises a flag; a second one ends the process at once.
class SignalGuard {
 public:
  SignalGuard();
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;
  bool raised() const;
};

}  // namespace train
