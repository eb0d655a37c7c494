// Read first: byte_source.h.
#include "data/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "data/decompress.h"
#include "data/file_kind.h"
#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/base/stop.h"

namespace data {
namespace {

using engine::check;
constexpr size_t kPiece = size_t(1) << 20;

class PlainSource : public ByteSource {
 public:
  PlainSource(std::string path, int fd, Pipes pipes) : path_(std::move(path)), file_{fd} {
    const bool known = ::fstat(fd, &opened_) == 0;
    check(known, path_, ": ", std::strerror(errno));
    check(!S_ISDIR(opened_.st_mode), path_, ": is a folder");
    check(S_ISREG(opened_.st_mode) || pipes == Pipes::allowed, path_, ": not a regular file");
    if (S_ISREG(opened_.st_mode)) at_ = std::max<int64_t>(0, ::lseek(fd, 0, SEEK_CUR));
  }
  bool read(std::string& out) override {
    const size_t before = out.size();
    out.resize(before + kPiece);
    const size_t n = engine::read_or_stop(file_.fd, out.data() + before, kPiece, path_);
    out.resize(before + n);
    at_ += int64_t(n);
    if (n == 0) check_unchanged();
    return n > 0;
  }

 private:
  void check_unchanged() const {
    struct stat now {};
    if (!S_ISREG(opened_.st_mode) || ::fstat(file_.fd, &now) != 0) return;
    check(now.st_size == at_ && now.st_mtim.tv_sec == opened_.st_mtim.tv_sec &&
              now.st_mtim.tv_nsec == opened_.st_mtim.tv_nsec,
          path_, ": changed while it was read");
  }

  struct Descriptor {  // a member of its own, so that it is closed when the constructor throws
    int fd;
    ~Descriptor() {
      if (fd != STDIN_FILENO) ::close(fd);
    }
  };

  std::string path_;
  Descriptor file_;
  struct stat opened_ {};
  int64_t at_ = 0;  // in a regular file; of standard input somebody may have read a part
};

/// Hands out bytes that were read to look at, then the rest.
class Peeked : public ByteSource {
 public:
  Peeked(std::string head, std::unique_ptr<ByteSource> rest)
      : head_(std::move(head)), rest_(std::move(rest)) {}
  bool read(std::string& out) override {
    if (head_.empty()) return rest_->read(out);
    out += std::exchange(head_, {});
    return true;
  }

 private:
  std::string head_;
  std::unique_ptr<ByteSource> rest_;
};

/// The first `bytes` of a source, or all that it has; it gives them once more.
std::string peek(std::unique_ptr<ByteSource>& source, size_t bytes) {
  std::string head;
  while (head.size() < bytes && source->read(head)) {
  }
  source = std::make_unique<Peeked>(head, std::move(source));
  return head;
}

}  // namespace

std::unique_ptr<ByteSource> open_plain_bytes(const std::string& path, Pipes pipes) {
  if (path == "-") return std::make_unique<PlainSource>("stdin", STDIN_FILENO, Pipes::allowed);
  const int wait = pipes == Pipes::allowed ? 0 : O_NONBLOCK;
  int fd;
  do {  // a pipe is waited for here
    engine::check_stop();
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | wait);
  } while (fd < 0 && errno == EINTR);
  check(fd >= 0, path, ": cannot open (", std::strerror(errno), ")");
  return std::make_unique<PlainSource>(path, fd, pipes);
}

std::unique_ptr<ByteSource> open_bytes(const std::string& path, Pipes pipes) {
  auto plain = open_plain_bytes(path, pipes);
  const std::string head = peek(plain, 6);
  return decompressed(path == "-" ? "stdin" : path, head, std::move(plain));
}

std::unique_ptr<ByteSource> open_text(const std::string& path, Pipes pipes) {
  auto bytes = open_bytes(path, pipes);
  check_is_text(peek(bytes, kSampledBytes), path == "-" ? "stdin" : path);
  return bytes;
}

void check_room(size_t before, size_t bytes, const std::string& where) {
  constexpr size_t kFirst = size_t(64) << 20;
  if (bytes < kFirst || std::bit_floor(bytes) == std::bit_floor(before)) return;
  const double left = engine::available_memory(),
               needed = 4 * double(bytes);  // the copy that growing makes, and room
  check(left <= 0 || left >= needed, where, ": ", engine::human_bytes(double(bytes)),
        " so far and no end of the text, which has to fit into memory whole; ", engine::human_bytes(left),
        " are left");
}

std::string read_all(ByteSource& source, const std::string& what, size_t max_bytes) {
  std::string out;
  for (size_t before = 0; source.read(out); before = out.size()) {
    check(out.size() <= max_bytes, what, ": more than ", max_bytes, " bytes");
    check_room(before, out.size(), what);
  }
  return out;
}

std::string inflate_bytes(const std::string& bytes, const std::string& what, size_t max_bytes) {
  class Memory : public ByteSource {
   public:
    explicit Memory(const std::string& bytes) : bytes_(bytes) {}
    bool read(std::string& out) override { return done_ ? false : (out += bytes_, done_ = true); }

   private:
    const std::string& bytes_;
    bool done_ = false;
  };
  return read_all(*inflated(what, std::make_unique<Memory>(bytes)), what, max_bytes);
}

LineReader::LineReader(const std::string& path, size_t max_bytes, Pipes pipes)
    : path_(path == "-" ? "stdin" : path), max_bytes_(max_bytes), source_(open_text(path, pipes)) {}

bool LineReader::next(std::string& line) {
  size_t scanned = at_;
  for (;;) {
    const size_t newline = buffer_.find('\n', scanned);
    if (newline != std::string::npos || (end_ && at_ < buffer_.size())) {
      ended_with_newline_ = newline != std::string::npos;
      const size_t stop = ended_with_newline_ ? newline : buffer_.size();
      line.assign(buffer_, at_, stop - at_);
      at_ = stop + (ended_with_newline_ ? 1 : 0);
      ++line_number_;
      return true;
    }
    if (end_) return false;
    buffer_.erase(0, at_);
    at_ = 0;
    scanned = buffer_.size();
    check(buffer_.size() <= max_bytes_, path_, ": line ", line_number_ + 1, " is longer than ", max_bytes_,
          " bytes");
    end_ = !source_->read(buffer_);
    check_room(scanned, buffer_.size(), path_);
  }
}

}  // namespace data
