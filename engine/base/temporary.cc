// Read first: temporary.h.
#include "engine/base/temporary.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"

namespace engine {
namespace {

constexpr std::string_view kMark = ".tmp-";
constexpr size_t kLongestStem =
    200;  // a name of 255 bytes has room for no more beside the mark and two numbers

std::string temporary_name(const std::string& path, int number) {
  const std::string stem = std::filesystem::path(path).filename().string().substr(0, kLongestStem);
  return join_text(folder_of(path), "/.", stem, kMark, ::getpid(), "-", number);
}

void remove_unowned(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) remove_tree(path);
  ::close(fd);
}

void remove_what_the_killed_left(const std::string& folder) {
  if (::access(folder.c_str(), R_OK | W_OK) != 0) return;
  for (const std::string& name : list_folder(folder))
    if (is_temporary_name(name)) remove_unowned(folder + "/" + name);
}

/// `make` gives an open descriptor of a new file or folder, or -1 and errno.
template <class Make>
Temporary make_temporary(const std::string& path, const char* kind, const Make& make) {
  remove_what_the_killed_left(folder_of(path));
  for (int number = 0;; ++number) {
    const std::string name = temporary_name(path, number);
    const int fd = make(name.c_str());
    if (fd < 0 && errno == EEXIST) continue;
    check(fd >= 0, path, ": cannot create a ", kind, " in its folder (", std::strerror(errno), ")");
    // Until the lock is held another program may take it for nobody's and remove it: then the next name.
    while (::flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    struct stat info {};
    if (::fstat(fd, &info) == 0 && info.st_nlink > 0) return {name, fd};
    ::close(fd);
  }
}

}  // namespace

Temporary temporary_file(const std::string& path) {
  Temporary made = make_temporary(path, "file", [](const char* name) {
    return ::open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  });
  struct stat old {};
  if (::stat(path.c_str(), &old) == 0 && S_ISREG(old.st_mode)) ::fchmod(made.fd, old.st_mode & 0777);
  return made;
}

Temporary temporary_folder(const std::string& path) {
  return make_temporary(path, "folder", [](const char* name) {
    return ::mkdir(name, 0777) == 0 ? ::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  });
}

bool is_temporary_name(const std::string& name) {
  const size_t mark = name.rfind(kMark);
  if (!name.starts_with('.') || mark == std::string::npos) return false;
  const std::string numbers = name.substr(mark + kMark.size());
  const size_t dash = numbers.find('-');
  return dash != std::string::npos && dash > 0 && dash + 1 < numbers.size() &&
         numbers.find_first_not_of("0123456789", dash + 1) == std::string::npos &&
         numbers.find_first_not_of("0123456789") == dash;
}

BuildFolder::BuildFolder(std::string path) : place_(std::move(path)) {
  make_directories(folder_of(place_));
  temporary_ = temporary_folder(place_);
}

BuildFolder::~BuildFolder() {
  if (temporary_.fd < 0) return;
  remove_tree(temporary_.name);
  ::close(temporary_.fd);
}

void BuildFolder::commit() {
  const bool flushed = ::syncfs(temporary_.fd) == 0;
  check(flushed, place_, ": cannot flush to disk (", std::strerror(errno), ")");
  // What is there goes when the new one is in its place, where the file system can exchange two names.
  const bool exchanged =
      ::renameat2(AT_FDCWD, temporary_.name.c_str(), AT_FDCWD, place_.c_str(), RENAME_EXCHANGE) == 0;
  remove_tree(exchanged ? temporary_.name : place_);
  if (!exchanged) move_path(temporary_.name, place_);
  ::close(std::exchange(temporary_.fd, -1));
}

}  // namespace engine
