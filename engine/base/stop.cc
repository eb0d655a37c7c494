// Read first: stop.h.
#include "engine/base/stop.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "engine/base/check.h"

namespace engine {
namespace {

std::atomic<bool> flag{false};  // set by signal handlers, read by all threads
static_assert(std::atomic<bool>::is_always_lock_free);
constexpr int kLookEvery = 100;  // milliseconds: a signal between the look and the wait is seen that late

}  // namespace

void request_stop() noexcept { flag = true; }
void clear_stop() noexcept { flag = false; }
bool stop_requested() noexcept { return flag; }

void check_stop() {
  if (stop_requested()) throw Stopped{};
}

size_t read_or_stop(int fd, void* out, size_t most, const std::string& path) {
  for (;;) {
    check_stop();
    pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&wait, 1, kLookEvery);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const ssize_t n = ::read(fd, out, most);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    check(n >= 0, path, ": cannot read (", std::strerror(errno), ")");
    return size_t(n);
  }
}

}  // namespace engine
