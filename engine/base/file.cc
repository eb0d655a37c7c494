// Read first: file.h.
#include "engine/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

uint64_t regular_size(int fd, const std::string& path) {
  struct stat info {};
  check(::fstat(fd, &info) == 0, path, ": ", std::strerror(errno));
  check(S_ISREG(info.st_mode), path, ": not a regular file");
  return uint64_t(info.st_size);
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

std::string read_file(const std::string& path, size_t max_bytes) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  check(file.fd >= 0, path, ": cannot open (", std::strerror(errno), ")");
  const uint64_t size = regular_size(file.fd, path);
  check(size <= max_bytes, path, ": ", size, " bytes, more than the limit of ", max_bytes);
  std::string out(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::read(file.fd, out.data() + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    check(n >= 0, path, ": cannot read (", std::strerror(errno), ")");
    check(n > 0, path, ": became shorter while it was read");
    done += size_t(n);
  }
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
  check(::fsync(temporary_.fd) == 0, path_, ": cannot flush to disk (", std::strerror(errno), ")");
}

void AtomicFile::commit() {
  flush();
  check(::rename(temporary_.name.c_str(), path_.c_str()) == 0, path_,
        ": cannot move the finished file into place (", std::strerror(errno), ")");
  ::close(std::exchange(temporary_.fd, -1));
  const Descriptor folder{::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (folder.fd >= 0) ::fsync(folder.fd);
}

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  check(file.fd >= 0, path, ": cannot open (", std::strerror(errno), ")");
  size_ = regular_size(file.fd, path);
  if (size_ == 0) return;
  void* map = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.fd, 0);
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
