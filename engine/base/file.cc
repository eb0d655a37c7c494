// Read first: file.h.
#include "engine/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/folder.h"

namespace engine {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

/// What a clone without Git LFS has in place of a large file: three lines of text that nobody means to be
/// read.
void check_is_no_lfs_pointer(int fd, const std::string& path) {
  constexpr std::string_view start = "version https://git-lfs.github.com/spec/";
  char head[start.size()];
  const bool pointer = ::pread(fd, head, start.size(), 0) == ssize_t(start.size()) &&
                       std::string_view(head, start.size()) == start;
  check(!pointer, path, ": a Git LFS pointer, not the file itself; fetch it with `git lfs pull`");
}

void write_all(int fd, const void* data, size_t bytes, const std::string& path) {
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(fd, p, bytes);
    if (n < 0 && errno == EINTR) continue;
    check(n > 0, path, ": cannot write (", std::strerror(errno), ")");
    p += n, bytes -= size_t(n);
  }
}

}  // namespace

InputFile::InputFile(const std::string& path)
    : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
  check(fd_ >= 0, path, ": cannot open (", std::strerror(errno), ")");
  struct stat info {};
  const int status = ::fstat(fd_, &info);
  const int error = errno;
  if (status != 0 || !S_ISREG(info.st_mode)) ::close(std::exchange(fd_, -1));
  check(status == 0, path, ": ", std::strerror(error));
  check(S_ISREG(info.st_mode), path, ": ",
        S_ISDIR(info.st_mode) ? "is a folder, not a regular file" : "not a regular file");
  size_ = uint64_t(info.st_size);
}

InputFile::~InputFile() { ::close(fd_); }

size_t InputFile::read(void* out, size_t most) {
  ssize_t n;
  do n = ::read(fd_, out, most);
  while (n < 0 && errno == EINTR);
  check(n >= 0, path_, ": cannot read (", std::strerror(errno), ")");
  return size_t(n);
}

std::string read_file(const std::string& path, size_t max_bytes) {
  InputFile file(path);
  const uint64_t size = file.size();
  check_is_no_lfs_pointer(file.descriptor(), path);
  check(size <= max_bytes, path, ": ", size, " bytes, more than the limit of ", max_bytes);
  std::string out(size, '\0');
  for (size_t done = 0; done < size;) {
    const size_t n = file.read(out.data() + done, size - done);
    check(n > 0, path, ": became shorter while it was read");
    done += n;
  }
  return out;
}

std::string read_file_start(const std::string& path, size_t most) {
  InputFile file(path);
  std::string out(size_t(std::min<uint64_t>(file.size(), most)), '\0');
  size_t done = 0;
  while (const size_t n = file.read(out.data() + done, out.size() - done)) done += n;
  out.resize(done);
  return out;
}

void write_file(const std::string& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

bool file_exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}
bool is_directory(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}
void make_directories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  check(is_directory(path), path, ": cannot create the folder", error ? " (" + error.message() + ")" : "");
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  // The finished file is moved into place, which would put it where a device or a pipe was.
  struct stat info {};
  if (::stat(path_.c_str(), &info) == 0)
    check(S_ISREG(info.st_mode) || S_ISDIR(info.st_mode), path_, ": not a regular file");
  temporary_ = temporary_file(path_);
}

AtomicFile::~AtomicFile() {
  if (temporary_.fd < 0) return;
  ::unlink(temporary_.name.c_str());
  ::close(temporary_.fd);
}

void AtomicFile::write(const void* data, size_t bytes) {
  write_all(temporary_.fd, data, bytes, path_);
  size_ += bytes;
}

void AtomicFile::write_at(uint64_t offset, const void* data, size_t bytes) {
  check(bytes <= size_ && offset <= size_ - bytes, path_, ": write_at past the end");
  const char* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::pwrite(temporary_.fd, p, bytes, off_t(offset));
    if (n < 0 && errno == EINTR) continue;
    check(n > 0, path_, ": cannot write (", std::strerror(errno), ")");
    p += n, offset += uint64_t(n), bytes -= size_t(n);
  }
}

void AtomicFile::flush() {
  const bool flushed = ::fsync(temporary_.fd) == 0;  // first: a call's arguments are evaluated in any order
  check(flushed, path_, ": cannot flush to disk (", std::strerror(errno), ")");
}

void AtomicFile::commit() {
  flush();
  const bool moved = ::rename(temporary_.name.c_str(), path_.c_str()) == 0;
  check(moved, path_, ": cannot move the finished file into place (", std::strerror(errno), ")");
  ::close(std::exchange(temporary_.fd, -1));
  const Descriptor folder{::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  const bool flushed = folder.fd < 0 || ::fsync(folder.fd) == 0 || errno == EINVAL;  // not all systems can
  check(flushed, path_, ": cannot flush its folder to disk (", std::strerror(errno), ")");
}

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const InputFile file(path);
  size_ = size_t(file.size());
  if (size_ == 0) return;
  check_is_no_lfs_pointer(file.descriptor(), path);
  void* map = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.descriptor(), 0);
  check(map != MAP_FAILED, path, ": cannot map ", size_, " bytes (", std::strerror(errno), ")");
  data_ = static_cast<const uint8_t*>(map);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<uint8_t*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace engine
