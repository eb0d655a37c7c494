// A comparison whose children die: begun once more, from where they were. Read first: comparison.h.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "compare_support.h"
#include "train/checkpoint/checkpoint_dir.h"

using namespace train;
using Catch::Matchers::Contains;

namespace {

/// The process that trains in `run`, or 0.
pid_t trainer_of(const std::string& run) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    std::ifstream in(entry.path() / "cmdline", std::ios::binary);
    const std::string words{std::istreambuf_iterator<char>(in), {}};
    if (pid > 0 && words.find(std::string("--out\0", 6) + run + '\0') != std::string::npos) return pid;
  }
  return 0;
}


}  // namespace

TEST_CASE("a child that dies is begun once more from its checkpoint, and the others go on", "[medium]") {
  CompareJob job;
  const std::string rest = "--seeds 1 --set budget.steps=200 --set eval.every=50 pre_ln post_ln";
  REQUIRE(run_normlab(job.arguments("whole", rest)).code == 0);
  const std::string run = job.folder / "a/runs/pre_ln/lr-0.01/seed-1";
  const pid_t parent = ::fork();
  if (parent == 0) {
    const std::string command =
        "exec " BINARY_DIR "/normlab " + job.arguments("a", rest) + " >" + job.folder / "log 2>&1";
    ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    ::_exit(127);
  }
  bool killed = false;
  for (int i = 0; i < 2000 && !killed; ++i, ::usleep(5'000)) {
    const bool begun = !list_checkpoints(run).empty();
    if (const pid_t child = begun ? trainer_of(run) : 0; child > 0) killed = ::kill(child, SIGKILL) == 0;
  }
  int status = 0;
  ::waitpid(parent, &status, 0);
  INFO(engine::read_file(job.folder / "log"));
  REQUIRE(killed);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  CHECK_THAT(engine::read_file(job.folder / "log"), Contains("training 1 runs to update 200 once more"));
  CHECK_THAT(engine::read_file(run + "/log.txt"), Contains("resum"));
  CHECK(without_times(job.result("a")) == without_times(job.result("whole")));
}
