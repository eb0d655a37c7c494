// The wish of the person at the keyboard, or of the system, that a program should end soon: a flag that a
// signal handler raises (train/signals.h), and that loops and waits look at.
#pragma once

#include <cstddef>
#include <string>

namespace engine {

/// Thrown where work is given up because of that wish. No std::exception: it is no error.
struct Stopped {};

void request_stop() noexcept;  // a signal handler may call it
void clear_stop() noexcept;
bool stop_requested() noexcept;
/// Throws Stopped when it was requested.
void check_stop();

/// read() of a file, or of a pipe that may stay silent for ever: gives up with Stopped when that is requested
/// meanwhile. Errors name `path`.
size_t read_or_stop(int fd, void* out, size_t most, const std::string& path);

}  // namespace engine
