// Read first: byte_source.h.
#include "data/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/stop.h"

namespace data {
namespace {

using engine::check;
constexpr size_t kPiece = size_t(1) << 20;

class PlainSource : public ByteSource {
 public:
  PlainSource(std::string path, int fd) : path_(std::move(path)), file_{fd} {
    check(::fstat(fd, &opened_) == 0, path_, ": ", std::strerror(errno));
    check(!S_ISDIR(opened_.st_mode), path_, ": is a folder");
  }
  bool read(std::string& out) override {
    const size_t before = out.size();
    out.resize(before + kPiece);
    const size_t n = engine::read_or_stop(file_.fd, out.data() + before, kPiece, path_);
    out.resize(before + n);
    bytes_ += int64_t(n);
    if (n == 0) check_unchanged();
    return n > 0;
  }

 private:
  void check_unchanged() const {
    struct stat now {};
    if (!S_ISREG(opened_.st_mode) || ::fstat(file_.fd, &now) != 0) return;
    check(now.st_size == bytes_ && now.st_mtim.tv_sec == opened_.st_mtim.tv_sec &&
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
  int64_t bytes_ = 0;
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

class GzipSource : public ByteSource {
 public:
  GzipSource(std::string path, std::unique_ptr<ByteSource> inner)
      : path_(std::move(path)), inner_(std::move(inner)) {
    check(inflateInit2(&stream_, 15 + 32) == Z_OK, path_,
          ": zlib does not start");  // + 32: gzip or zlib header
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  bool read(std::string& out) override {
    const size_t before = out.size();
    while (out.size() == before) {
      if (at_ == input_.size() && !refill()) {
        check(between_members_, path_, ": truncated gzip data");
        return false;
      }
      inflate_some(out);
    }
    return true;
  }

 private:
  bool refill() {
    input_.clear();
    at_ = 0;
    return inner_->read(input_);
  }
  void inflate_some(std::string& out) {
    const size_t before = out.size();
    out.resize(before + kPiece);
    stream_.next_in = reinterpret_cast<Bytef*>(input_.data() + at_);
    stream_.avail_in = uInt(input_.size() - at_);
    stream_.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream_.avail_out = uInt(kPiece);
    const int status = inflate(&stream_, Z_NO_FLUSH);
    at_ = input_.size() - stream_.avail_in;
    out.resize(out.size() - stream_.avail_out);
    between_members_ = status == Z_STREAM_END;
    if (between_members_) inflateReset(&stream_);  // gzip files may be joined end to end
    check(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR, path_, ": damaged gzip data (",
          stream_.msg ? stream_.msg : "zlib error", ")");
  }

  std::string path_;
  std::unique_ptr<ByteSource> inner_;
  z_stream stream_{};
  std::string input_;
  size_t at_ = 0;
  bool between_members_ = false;
};

class ZstdSource : public ByteSource {
 public:
  ZstdSource(std::string path, std::unique_ptr<ByteSource> inner)
      : path_(std::move(path)), inner_(std::move(inner)), stream_(ZSTD_createDStream()) {
    check(stream_ != nullptr, path_, ": zstd does not start");
  }
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }
  bool read(std::string& out) override {
    const size_t before = out.size();
    while (out.size() == before) {
      if (at_ == input_.size()) {
        input_.clear();
        at_ = 0;
        if (!inner_->read(input_)) {
          check(between_frames_, path_, ": truncated zstd data");
          return false;
        }
      }
      out.resize(before + kPiece);
      ZSTD_inBuffer in{input_.data(), input_.size(), at_};
      ZSTD_outBuffer to{out.data() + before, kPiece, 0};
      const size_t status = ZSTD_decompressStream(stream_, &to, &in);
      at_ = in.pos;
      out.resize(before + to.pos);
      check(!ZSTD_isError(status), path_, ": damaged zstd data (", ZSTD_getErrorName(status), ")");
      between_frames_ = status == 0;
    }
    return true;
  }

 private:
  std::string path_;
  std::unique_ptr<ByteSource> inner_;
  ZSTD_DStream* stream_;
  std::string input_;
  size_t at_ = 0;
  bool between_frames_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> open_plain_bytes(const std::string& path) {
  const int fd = path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  check(fd >= 0, path, ": cannot open (", std::strerror(errno), ")");
  return std::make_unique<PlainSource>(path == "-" ? "stdin" : path, fd);
}

std::unique_ptr<ByteSource> open_bytes(const std::string& path) {
  const std::string name = path == "-" ? "stdin" : path;
  auto plain = open_plain_bytes(path);
  std::string head;
  while (head.size() < 4 && plain->read(head)) {
  }
  auto whole = std::make_unique<Peeked>(head, std::move(plain));
  if (head.starts_with("\x1f\x8b")) return std::make_unique<GzipSource>(name, std::move(whole));
  if (head.starts_with("\x28\xb5\x2f\xfd")) return std::make_unique<ZstdSource>(name, std::move(whole));
  return whole;
}

std::string read_all(ByteSource& source, const std::string& what, size_t max_bytes) {
  std::string out;
  while (source.read(out)) check(out.size() <= max_bytes, what, ": more than ", max_bytes, " bytes");
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
  GzipSource source(what, std::make_unique<Memory>(bytes));
  return read_all(source, what, max_bytes);
}

LineReader::LineReader(const std::string& path, size_t max_bytes)
    : path_(path == "-" ? "stdin" : path), max_bytes_(max_bytes), source_(open_bytes(path)) {}

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
  }
}

}  // namespace data
