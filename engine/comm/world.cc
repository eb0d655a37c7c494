// Read first: world.h.
#include "engine/comm/world.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "engine/base/crc32c.h"
#include "engine/base/file.h"
#include "engine/base/log_rank.h"
#include "engine/core/side_queue.h"

namespace engine {
namespace {

constexpr const char* kPlugin = "libnormlab_mpi.so";
std::unique_ptr<Communicator> joined;

int number_in(const char* name, int fallback) {
  const char* text = std::getenv(name);
  return text && *text ? std::atoi(text) : fallback;
}

/// An error before the ranks can talk to each other. Where every rank runs into it rank 0 says it, and the
/// others leave it the time to do so: a launcher ends all ranks as soon as one has failed. One that is still
/// there then has run into it alone.
[[noreturn]] void fail_apart(const std::string& words) {
  if (launched_rank() == 0) throw Error(words);
  ::sleep(2);
  throw RankError(2, join_text("rank ", launched_rank(), ": ", words));
}

std::string folder_of_program() {
  char path[4096];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string whole(path, n > 0 ? size_t(n) : 0);
  return whole.substr(0, whole.rfind('/'));
}

std::string plugin_path() {
  if (const char* folder = std::getenv("NORMLAB_PLUGINS")) return std::string(folder) + "/" + kPlugin;
  const std::string here = folder_of_program(), above = here.substr(0, here.rfind('/'));
  for (const std::string& folder : {here, above, above + "/lib/normlab"})  // as built; a test's; as installed
    if (file_exists(folder + "/" + kPlugin)) return folder + "/" + kPlugin;
  return here + "/" + kPlugin;
}

std::unique_ptr<Transport> open_plugin(const std::string& path) {
  void* const module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    const char* const why = ::dlerror();
    fail_apart(join_text("a launcher started ", launched_ranks(), " ranks, which need ", path, " (",
                         file_exists(path) ? why : "it is not there: install libopenmpi-dev and build again", ")"));
  }
  const auto open = reinterpret_cast<OpenTransport*>(::dlsym(module, "normlab_open_transport"));
  std::unique_ptr<Transport> transport(open ? open(kTransportInterface) : nullptr);
  if (!transport) fail_apart(path + ": built for another version of this program");
  return transport;
}

/// What tells builds apart: the program's own bytes.
std::string build_of_program() {
  const int fd = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  uint32_t sum = 0;
  std::string block(size_t(1) << 20, '\0');
  int64_t bytes = 0;
  for (ssize_t n; fd >= 0 && (n = ::read(fd, block.data(), block.size())) > 0; bytes += n)
    sum = crc32c(block.data(), size_t(n), sum);
  if (fd >= 0) ::close(fd);
  return join_text(bytes, " bytes, checksum ", sum);
}

}  // namespace

int launched_rank() {
  return number_in("OMPI_COMM_WORLD_RANK", number_in("PMIX_RANK", number_in("SLURM_PROCID", 0)));
}

int launched_ranks() {
  if (const int n = number_in("OMPI_COMM_WORLD_SIZE", 0); n > 0) return n;
  if (std::getenv("PMIX_RANK")) return std::max(1, number_in("SLURM_STEP_NUM_TASKS", number_in("SLURM_NTASKS", 1)));
  return 1;
}

Communicator& world() {
  if (joined) return *joined;
  if (launched_ranks() == 1) {
    const int tasks = number_in("SLURM_STEP_NUM_TASKS", 1);
    if (tasks > 1 && !std::getenv("PMIX_RANK") && !std::getenv("OMPI_COMM_WORLD_SIZE"))
      fail_apart(join_text("SLURM runs ", tasks, " tasks of this program that know nothing of each other: start "
                           "them with srun --mpi=pmix"));
    joined = std::make_unique<Communicator>();
    return *joined;
  }
  joined = std::make_unique<Communicator>([path = plugin_path()] { return open_plugin(path); });
  set_log_rank(joined->rank());
  set_device_place(joined->place().local_rank);
  joined->check_same("build of normlab", build_of_program());
  return *joined;
}

const Place* place_in_world() { return joined ? &joined->place() : nullptr; }

void leave_world(int code, bool together) {
  if (!joined) return;
  if (together)
    joined->finish();
  else
    joined->abort(code);
  joined.reset();
}

}  // namespace engine
