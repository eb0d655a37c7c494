// Ranks that are killed at random moments, and what goes on from what they leave.
#include <catch2/catch.hpp>

#include "launch.h"

using namespace train;

namespace {

/// 4 ranks, killed at random moments and gone on from by 1, 2, 3 and 4 ranks in turn. 3 ranks see other rows
/// an update, so they stop before their first one and only show that they can begin.
void kill_and_resume(int kills, uint64_t seed) {
  DistJob job;
  const int64_t steps = 60 + 30 * kills;
  job.set("budget.steps", steps).set("schedule.steps", steps).set("eval.every", 20);
  job.set("checkpoint.every", 5).set("precision", "bf16").set("parallel.check", false);
  {
    Started alone("env NORMLAB_THREADS=1 " + job.command(1, "whole"), job.log());
    REQUIRE(alone.wait() == 0);
  }
  engine::Rng rng{seed, 0};
  const int numbers[] = {4, 2, 4, 1};
  int unfinished = 0;  // kills that met a run which still had updates to make
  for (int kill = 0; kill < kills; ++kill) {
    const int ranks = numbers[kill % 4];
    const std::string zero = " --set parallel.zero=" + std::to_string(kill % 2);
    const size_t before = lines_so_far(job.run("cut"));
    Started program(launcher() + "-np " + std::to_string(ranks) + " " + job.command(ranks, "cut", "--resume" + zero),
                    job.log());
    // Two of three times not before it has got further, so that the test ends; else also in the start.
    std::vector<pid_t> running;
    if (kill % 3 != 2) {
      wait_for_lines(program, job.run("cut"), before + 1);
      running = processes_with(job.run("cut"));
      wait_for_lines(program, job.run("cut"), before + 7);
      ::usleep(useconds_t(rng.below(20000)));
    } else {
      ::usleep(useconds_t(rng.below(1000000)));
      running = processes_with(job.run("cut"));
    }
    if (!running.empty()) ::kill(running[size_t(rng.below(running.size()))], SIGKILL);
    program.wait();
    CHECK(processes_with(job.run("cut")).empty());
    unfinished += !running.empty() && int64_t(series(job.run("cut"), "loss").size()) < steps;
  }
  CHECK(unfinished > kills / 2);
  // Three ranks can begin with it, and leave it as it is when there is nothing left to do.
  const int code = job.train_on(4, "cut", "--resume --set parallel.zero=1");
  INFO(job.output);
  REQUIRE(code == 0);
  REQUIRE(job.train_on(3, "cut", "--resume") == 0);
  job.check_equal("whole", "cut");
  CHECK(series(job.run("cut"), "loss").size() == size_t(steps));
}

}  // namespace

TEST_CASE("kills: ranks killed at random moments end with the bytes of the run that was never touched", "[dist]") {
  if (have_mpi()) kill_and_resume(3, 2026);
}

TEST_CASE("kills: the same, 50 times", "[slow]") {
  if (have_mpi()) kill_and_resume(50, 7);
}
