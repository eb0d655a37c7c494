// normlab: what holds for every command. command_table.cc has the table of them.
#include <fcntl.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "engine/comm/world.h"
#include "train/commands/command_pages.h"

namespace {

/// A program that was started with 0, 1 or 2 closed, as daemons are, would get that number for the next file
/// that it opens, and write its messages into it.
void reserve_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF)
      ::open("/dev/null", O_RDWR);  // takes the lowest number: fd
}

}  // namespace

int main(int argc, char** argv) {
  using namespace train;
  reserve_standard_descriptors();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow (ulimit -f) is then an error of write()
  CommandTable table = normlab_commands();
  table.top = true;
  const int code = run_commands(table, argc, argv);
  std::fflush(stdout);
  engine::leave_world(code, /*together=*/true);
  return code;
}
