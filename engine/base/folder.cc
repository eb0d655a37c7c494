// Read first: folder.h.
#include "engine/base/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "engine/base/check.h"

namespace engine {

namespace fs = std::filesystem;

std::vector<std::string> list_folder(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  check(folder != nullptr, path, ": cannot list the folder (", std::strerror(errno), ")");
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(folder.get());
    check(entry != nullptr || errno == 0, path, ": cannot list the folder (", std::strerror(errno), ")");
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool is_regular_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool is_link(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode);
}

uint64_t file_size(const std::string& path) {
  struct stat info {};
  const bool found = ::stat(path.c_str(), &info) == 0;
  check(found, path, ": ", std::strerror(errno));
  check(S_ISREG(info.st_mode), path, ": not a regular file");
  return uint64_t(info.st_size);
}

bool same_file(const std::string& a, const std::string& b) {
  struct stat one {
  }, other{};
  return ::stat(a.c_str(), &one) == 0 && ::stat(b.c_str(), &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

std::string absolute_path(const std::string& path) {
  std::error_code error;
  const fs::path full = fs::absolute(path, error);
  check(!error, path, ": ", error.message());
  return full.lexically_normal().string();
}

std::string resolved_path(const std::string& path) {
  std::error_code error;
  const fs::path full = fs::canonical(path, error);
  check(!error, path, ": ", error.message());
  return full.string();
}

void move_path(const std::string& from, const std::string& to) {
  const bool moved = ::rename(from.c_str(), to.c_str()) == 0;
  check(moved, to, ": cannot move ", from, " there (", std::strerror(errno), ")");
}

void remove_file(const std::string& path) noexcept { ::unlink(path.c_str()); }

void remove_tree(const std::string& path) noexcept {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

std::string temporaries_folder() {
  const char* named = std::getenv("TMPDIR");
  return named != nullptr && *named != '\0' ? named : "/tmp";
}

std::string folder_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

FolderLock::FolderLock(const std::string& folder)
    : fd_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  check(fd_ >= 0, folder, ": cannot open the folder (", std::strerror(errno), ")");
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(fd_);
  fail(folder, ": another process is writing into this folder");
}

FolderLock::~FolderLock() { ::close(fd_); }

}  // namespace engine
