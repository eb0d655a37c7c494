// Loaded into one rank (LD_PRELOAD), by what its environment says: a disk that takes MEDDLE_FSYNC_MS milliseconds to
// sync a file, and a clock that is MEDDLE_CLOCK_S seconds ahead.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>

namespace {

long number_in(const char* name) {
  const char* text = std::getenv(name);
  return text ? std::atol(text) : 0;
}

}  // namespace

extern "C" int fsync(int fd) {
  static const long ms = number_in("MEDDLE_FSYNC_MS");
  ::usleep(useconds_t(1000 * ms));
  return int(::syscall(SYS_fsync, fd));
}

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  static const long ahead = number_in("MEDDLE_CLOCK_S");
  const int result = int(::syscall(SYS_clock_gettime, clock, time));
  if (clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME) time->tv_sec += ahead;
  return result;
}
