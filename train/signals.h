// The signals that ask a program to end, as the flag of engine/base/stop.h, which loops look at between two
// pieces of work.
#pragma once

namespace train {

/// While it lives, the first SIGINT (Ctrl-C), SIGTERM, SIGHUP (the terminal is gone) or SIGUSR1 (which mpirun
/// passes on, and SLURM sends before it preempts) only raises the flag; a further SIGINT or SIGTERM ends the
/// process at once. A further SIGHUP does not: the kernel and the shell both send one. What the parent had ignored (nohup, a script's job in the background) stays ignored.
class SignalGuard {
 public:
  /// `speaks`: whether a signal is answered by a line on stderr; one rank's is enough.
  explicit SignalGuard(bool speaks = true);
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;
  bool raised() const;
};

/// For commands whose work does not end with the reader of their messages (`2>&1 | head`): writing to a pipe
/// that nobody reads is then an error of that write alone, until the process ends. Called behind the parsing
/// of the command line: help whose reader has seen enough (`--help | head`) ends without a word, as it does
/// elsewhere.
void ignore_broken_pipes();

}  // namespace train
