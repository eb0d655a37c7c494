// Read first: temporary.h.
#include "engine/base/temporary.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

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

/// A new file of this name, locked; none if there is one, or if another program removed it before the lock
/// was held, because it took the file for nobody's.
Temporary try_name(const std::string& name, const std::string& path) {
  const int fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  check(fd >= 0 || errno == EEXIST, path, ": cannot create a file in its folder (", std::strerror(errno),
        ")");
  if (fd < 0) return {};
  while (::flock(fd, LOCK_EX) != 0 && errno == EINTR) {
  }
  struct stat info {};
  if (::fstat(fd, &info) == 0 && info.st_nlink > 0) return {name, fd};
  ::close(fd);
  return {};
}

}  // namespace

Temporary temporary_file(const std::string& path) {
  remove_what_the_killed_left(folder_of(path));
  Temporary made;
  for (int number = 0; made.fd < 0; ++number) made = try_name(temporary_name(path, number), path);
  struct stat old {};
  if (::stat(path.c_str(), &old) == 0 && S_ISREG(old.st_mode)) ::fchmod(made.fd, old.st_mode & 0777);
  return made;
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

}  // namespace engine
