// Read first: fuzz.h.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "fuzz.h"

namespace {

/// A folder of this process's own, removed at a normal exit.
struct InputFolder {
  InputFolder() {
    path = std::string(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + "/normlab-fuzz-" +
           std::to_string(::getpid());
    ::mkdir(path.c_str(), 0700);
  }
  ~InputFolder() {
    for (const std::string& name : names) ::unlink((path + "/" + name).c_str());
    ::rmdir(path.c_str());
  }
  std::string path;
  std::vector<std::string> names;
};

}  // namespace

std::string input_file(std::string_view bytes, const std::string& name) {
  static InputFolder folder;
  bool known = false;
  for (const std::string& old : folder.names) known = known || old == name;
  if (!known) folder.names.push_back(name);
  const std::string path = folder.path + "/" + name;
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), std::streamsize(bytes.size()));
  return path;
}

std::vector<std::string_view> input_parts(std::string_view input, size_t n) {
  std::vector<std::string_view> out;
  while (out.size() + 1 < n) {
    const size_t zero = std::min(input.find('\0'), input.size());
    out.push_back(input.substr(0, zero));
    input.remove_prefix(std::min(zero + 1, input.size()));
  }
  out.push_back(input);
  return out;
}

/// libFuzzer calls this before it reads its corpus. NORMLAB_FUZZ_SEEDS names the folder for the seeds.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* folder = std::getenv("NORMLAB_FUZZ_SEEDS");
  if (folder == nullptr) return 0;
  const std::vector<std::string> seeds = fuzz_seeds();
  for (size_t i = 0; i < seeds.size(); ++i)
    std::ofstream(folder + ("/seed-" + std::to_string(i)), std::ios::binary | std::ios::trunc) << seeds[i];
  return 0;
}
