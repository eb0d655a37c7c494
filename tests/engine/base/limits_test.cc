// What control groups and ulimit leave of memory and processors, read from made-up trees of /proc and /sys.
#include "engine/base/limits.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "engine/base/file.h"
#include "temporary_folder.h"

using namespace engine;

namespace {

constexpr double kMiB = 1 << 20;

struct Tree {
  TemporaryFolder folder;
  const std::string& root = folder.path;
  Tree() { put("/proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable:    8388608 kB\n"); }
  void put(const std::string& path, const std::string& text) {
    make_directories((root + path).substr(0, (root + path).rfind('/')));
    write_file(root + path, text);
  }
};

}  // namespace

TEST_CASE("limits: a machine without groups has what meminfo says") {
  Tree t;
  CHECK(available_memory(t.root) == 8192 * kMiB);
  cpu_set_t set;
  REQUIRE(sched_getaffinity(0, sizeof set, &set) == 0);
  CHECK(available_processors(t.root) == CPU_COUNT(&set));
}

TEST_CASE("limits: control groups of version 2, the process's own and those above it") {
  Tree t;
  t.put("/proc/self/cgroup", "0::/jobs/one\n");
  t.put("/proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n");
  const std::string group = "/sys/fs/cgroup";
  t.put(group + "/jobs/one/memory.max", "max\n");
  t.put(group + "/jobs/one/cpu.max", "max 100000\n");
  CHECK(available_memory(t.root) == 8192 * kMiB);
  t.put(group + "/jobs/one/memory.max", std::to_string(512 << 20) + "\n");
  CHECK(available_memory(t.root) == 512 * kMiB);
  t.put(group + "/jobs/one/memory.current", std::to_string(300 << 20) + "\n");
  t.put(group + "/jobs/one/memory.stat",
        "anon 1\nfile " + std::to_string(110 << 20) + "\nshmem " + std::to_string(10 << 20) + "\n");
  CHECK(available_memory(t.root) == 312 * kMiB);  // of 300 in use 100 repeat files
  t.put(group + "/jobs/memory.max", std::to_string(256 << 20) + "\n");
  CHECK(available_memory(t.root) == 256 * kMiB);  // the group above has less
  t.put(group + "/jobs/cpu.max", "50000 100000\n");
  CHECK(available_processors(t.root) == 1);
}

TEST_CASE("limits: control groups of version 1, one mount a controller, seen from a container") {
  Tree t;
  t.put("/proc/self/cgroup", "5:cpu,cpuacct:/docker/ab\n4:memory:/docker/ab/inner\n0::/\n");
  t.put("/proc/self/mountinfo",
        "40 30 0:30 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        "41 30 0:31 /docker/ab /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n");
  t.put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  CHECK(available_memory(t.root) == 8192 * kMiB);
  t.put("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", std::to_string(64 << 20) + "\n");
  t.put("/sys/fs/cgroup/memory/inner/memory.usage_in_bytes", std::to_string(4 << 20) + "\n");
  CHECK(available_memory(t.root) == 60 * kMiB);
  t.put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  t.put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  const int all = available_processors(t.root);
  t.put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "90000\n");
  CHECK(available_processors(t.root) == 1);
  CHECK(all >= 1);
}

TEST_CASE("limits: ulimit -v and ulimit -d") {
#ifdef __SANITIZE_ADDRESS__
  WARN("skipped: AddressSanitizer itself needs more address space than these limits leave");
  return;
#endif
  for (const auto resource : {RLIMIT_AS, RLIMIT_DATA}) {
    const pid_t child = ::fork();  // a limit that is lowered stays lowered
    REQUIRE(child >= 0);
    if (child == 0) {
      const Tree t;
      const rlimit limit{rlim_t(6) << 30, RLIM_INFINITY};
      ::setrlimit(resource, &limit);
      const double left = available_memory(t.root);
      ::_exit(left > 0 && left < 6144 * kMiB ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WEXITSTATUS(status) == 0);
  }
}
