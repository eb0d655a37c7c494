// Read first: append_file.h.
#include "engine/base/append_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/base/check.h"

namespace engine {

constexpr size_t kMostWaiting = size_t(64) << 20;

AppendFile::AppendFile(std::string path, uint64_t keep) : path_(std::move(path)) {
  // A pipe would be waited for without O_NONBLOCK.
  const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
  check(fd >= 0, path_, ": cannot open (", std::strerror(errno), ")");
  struct stat info {};
  const bool regular = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  const bool cut = regular && ::ftruncate(fd, off_t(keep)) == 0;
  const int error = errno;
  if (!cut) ::close(fd);
  check(regular, path_, ": not a regular file");
  check(cut, path_, ": cannot truncate (", std::strerror(error), ")");
  fd_ = fd;
}

AppendFile::~AppendFile() {
  write_waiting();
  ::close(fd_);
}

void AppendFile::write(std::string_view bytes) {
  waiting_ += bytes;
  write_waiting();
  check(waiting_.size() <= kMostWaiting, trouble_);
}

void AppendFile::write_waiting() {
  size_t done = 0;
  trouble_.clear();
  while (done < waiting_.size() && trouble_.empty()) {
    const ssize_t n = ::write(fd_, waiting_.data() + done, waiting_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) trouble_ = join_text(path_, ": cannot write (", std::strerror(errno), ")");
    done += n > 0 ? size_t(n) : 0;
  }
  waiting_.erase(0, done);
}

void AppendFile::sync() {
  const bool flushed = ::fdatasync(fd_) == 0 || errno == EINVAL;
  check(flushed, path_, ": cannot flush to disk (", std::strerror(errno), ")");
}

void AppendFile::finish() {
  write_waiting();
  check(trouble_.empty(), trouble_);
}

}  // namespace engine
