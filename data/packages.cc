// Read first: packages.h.
#include "data/packages.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "data/documents.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/log.h"
#include "engine/base/temporary.h"

namespace data {
namespace {

using engine::check;

std::string read_to_end(int fd) {
  std::string out;
  char piece[4096];
  for (ssize_t n; (n = ::read(fd, piece, sizeof piece)) != 0;) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    out.append(piece, size_t(n));
  }
  return out;
}

std::string last_line(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  const size_t newline = text.rfind('\n');
  return newline == std::string::npos ? text : text.substr(newline + 1);
}

/// "newest:postgresql-doc" -> "postgresql-doc-15": the documentation package that the family's name depends
/// on.
std::string resolve(const std::string& package) {
  constexpr std::string_view kNewest = "newest:";
  if (!package.starts_with(kNewest)) return package;
  const std::string family = package.substr(kNewest.size());
  std::istringstream lines(run_program({"apt-cache", "depends", "--important", family}));
  for (std::string line; std::getline(lines, line);) {
    const size_t at = line.find("Depends: ");
    if (at != std::string::npos && line.find("-doc", at) != std::string::npos) return line.substr(at + 9);
  }
  engine::fail(family, ": apt-cache names no documentation package for it");
}

}  // namespace

std::string run_program(const std::vector<std::string>& arguments, const std::string& folder) {
  std::vector<char*> argv;
  for (const auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  int out[2];
  check(::pipe2(out, O_CLOEXEC) == 0, arguments[0], ": no pipe (", std::strerror(errno), ")");
  // Errors go to a file, not to a second pipe, so that neither can fill up while the other is read.
  std::string errors_path = engine::temporaries_folder() + "/normlab-stderr-XXXXXX";
  const int errors = ::mkostemp(errors_path.data(), O_CLOEXEC);
  check(errors >= 0, arguments[0], ": no temporary file (", std::strerror(errno), ")");
  ::unlink(errors_path.c_str());

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, errors, 2);
  if (!folder.empty()) posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  pid_t child;
  const int status = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(out[1]);
  std::string text;
  int exit_status = -1;
  if (status == 0) {
    text = read_to_end(out[0]);
    while (::waitpid(child, &exit_status, 0) < 0 && errno == EINTR) {
    }
  }
  ::close(out[0]);
  ::lseek(errors, 0, SEEK_SET);
  const std::string complaint = last_line(read_to_end(errors));
  ::close(errors);
  check(status == 0, arguments[0], ": cannot run it (", std::strerror(status), ")");
  std::string command;
  for (const auto& a : arguments) command += (command.empty() ? "" : " ") + a;
  check(WIFEXITED(exit_status) && WEXITSTATUS(exit_status) == 0, "\"", command,
        "\" failed: ", complaint.empty() ? "no message" : complaint);
  return text;
}

std::string default_cache() {
  const char* set = std::getenv("XDG_CACHE_HOME");
  if (set && *set) return std::string(set) + "/normlab";
  const char* home = std::getenv("HOME");
  return std::string(home && *home ? home : ".") + "/.cache/normlab";
}

UnpackedPackages fetch_packages(const std::vector<std::string>& packages, const std::string& name,
                                const std::string& cache) {
  const std::string folder = cache + "/" + name, list = folder + "/packages.txt";
  if (!engine::file_exists(list)) {
    engine::log_info("fetching ", name, " to ", folder);
    // Unpacked beside its place and moved there whole: a folder with packages.txt is complete.
    engine::BuildFolder build(folder);
    const std::string building = build.path();
    engine::make_directories(building + "/root");
    std::vector<std::string> get{"apt-get", "download", "-q"};
    for (const auto& package : packages) get.push_back(resolve(package));
    run_program(get, building);
    std::string versions;
    for (const auto& file : files_below(building)) {
      if (!file.ends_with(".deb")) continue;
      run_program({"dpkg", "-x", file, building + "/root"});
      versions += run_program({"dpkg-deb", "-W", "--showformat=${Package} ${Version}\\n", file});
      engine::remove_file(file);
    }
    engine::write_file(building + "/packages.txt", versions);
    build.commit();
  }
  UnpackedPackages out{.root = folder + "/root"};
  std::istringstream lines(engine::read_file(list));
  for (std::string line; std::getline(lines, line);) out.versions.push_back(line);
  return out;
}

}  // namespace data
