// Read first: limits.h. Files: proc(5), cgroups(7), the kernel's admin-guide/cgroup-v2.rst and cgroup-v1/.
#include "engine/base/limits.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>
#include <vector>

namespace engine {
namespace {

constexpr double kNone = std::numeric_limits<double>::infinity();

/// A group of the process, seen from its own folder up to where the hierarchy is mounted: each may limit it.
struct Groups {
  std::vector<std::string> folders;
  bool version2 = false;
};

std::vector<std::string> words_of(const std::string& line, char separator) {
  std::vector<std::string> words;
  std::istringstream in(line);
  for (std::string word; std::getline(in, word, separator);) words.push_back(word);
  return words;
}

bool names(const std::string& list, const std::string& word) {
  for (const std::string& w : words_of(list, ','))
    if (w == word) return true;
  return false;
}

/// The process's path in a hierarchy: of /proc/self/cgroup's lines "number:controllers:path", where version 2
/// has number 0 and no controllers.
std::string path_in(const std::string& root, const std::string& controller, bool version2) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string list = line.substr(first + 1, second - first - 1);
    if (version2 ? list.empty() : names(list, controller)) return line.substr(second + 1);
  }
  return {};
}

/// Every mounted hierarchy that may limit `controller`. A line of mountinfo: number, parent, device, the
/// folder of the hierarchy that is mounted, where, options, any number of fields, "-", type, source, options.
std::vector<Groups> groups_of(const std::string& root, const std::string& controller) {
  std::vector<Groups> out;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> w = words_of(line, ' ');
    const size_t dash = size_t(std::find(w.begin(), w.end(), "-") - w.begin());
    if (dash < 6 || dash + 3 >= w.size()) continue;
    const bool version2 = w[dash + 1] == "cgroup2";
    if (!version2 && !(w[dash + 1] == "cgroup" && names(w[dash + 3], controller))) continue;
    std::string path = path_in(root, controller, version2);
    const std::string &mounted = w[3], mount = root + w[4];
    if (mounted != "/" && path.starts_with(mounted)) path = path.substr(mounted.size());
    if (path.find("..") != std::string::npos) path = "";  // a group outside of what this namespace shows
    Groups groups{{}, version2};
    for (; !path.empty() && path != "/"; path = path.substr(0, path.rfind('/')))
      groups.folders.push_back(mount + path);
    groups.folders.push_back(mount);
    out.push_back(groups);
  }
  return out;
}

/// The first number of a file; `otherwise` for "max", a negative one, or no such file.
double number_in(const std::string& path, double otherwise) {
  std::ifstream file(path);
  double value = 0;
  return file >> value && value >= 0 ? value : otherwise;
}

/// The value behind a key in a file of "key value" lines.
double value_in(const std::string& path, std::string_view wanted) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream in(line);
    std::string key;
    double value = 0;
    if (in >> key >> value && key == wanted) return value;
  }
  return 0;
}

double left_in_group(const std::string& folder, bool version2) {
  const double limit = number_in(folder + (version2 ? "/memory.max" : "/memory.limit_in_bytes"), kNone);
  if (limit > 1e18) return kNone;  // version 1 says "no limit" by a number of pages near 2^63 bytes
  const double used = number_in(folder + (version2 ? "/memory.current" : "/memory.usage_in_bytes"), 0);
  const std::string statistics = folder + "/memory.stat";
  // Pages that only repeat what is in files are given back when memory is wanted.
  const double files = version2 ? value_in(statistics, "file") - value_in(statistics, "shmem")
                                : value_in(statistics, "total_cache") - value_in(statistics, "total_shmem");
  return std::max(0.0, limit - std::max(0.0, used - std::max(0.0, files)));
}

double left_of_limit(int resource, double used) {
  rlimit limit{};
  if (::getrlimit(__rlimit_resource_t(resource), &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return kNone;
  return std::max(0.0, double(limit.rlim_cur) - used);
}

/// What ulimit -v and ulimit -d leave: of the address space, and of private memory that can be written.
double left_of_ulimits() {
  std::ifstream file("/proc/self/statm");
  double size = 0, resident = 0, shared = 0, text = 0, unused = 0, data = 0;
  file >> size >> resident >> shared >> text >> unused >> data;
  const double page = double(::sysconf(_SC_PAGESIZE));
  return std::min(left_of_limit(RLIMIT_AS, size * page), left_of_limit(RLIMIT_DATA, data * page));
}

/// Processors' worth of time that a group has: quota / period.
double quota_of_group(const std::string& folder, bool version2) {
  if (!version2) {
    const double quota = number_in(folder + "/cpu.cfs_quota_us", kNone);
    return quota / number_in(folder + "/cpu.cfs_period_us", 100'000);
  }
  std::ifstream file(folder + "/cpu.max");
  double quota = 0, period = 0;
  return file >> quota >> period && quota > 0 && period > 0 ? quota / period : kNone;
}

}  // namespace

double available_memory(const std::string& root) {
  double available = 1024 * value_in(root + "/proc/meminfo", "MemAvailable:");
  if (available <= 0) available = kNone;
  for (const Groups& groups : groups_of(root, "memory"))
    for (const std::string& folder : groups.folders)
      available = std::min(available, left_in_group(folder, groups.version2));
  available = std::min(available, left_of_ulimits());
  return available < kNone ? std::max(available, 1.0) : 0;
}

int available_processors(const std::string& root) {
  cpu_set_t set;
  CPU_ZERO(&set);
  double processors = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  for (const Groups& groups : groups_of(root, "cpu"))
    for (const std::string& folder : groups.folders)
      processors = std::min(processors, std::ceil(quota_of_group(folder, groups.version2)));
  return std::max(1, int(processors));
}

}  // namespace engine
