// A rank that dies, hangs or fails takes the others with it within five seconds, and no half checkpoint stays.
#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <time.h>

#include "engine/base/clock.h"
#include "launch.h"

using namespace train;
using Catch::Matchers::Contains;

namespace {

/// How much longer than by itself a program takes here, because others use the processors: 1 on a quiet machine.
double crowding() {
  const auto cpu_seconds = [] {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
  };
  const double start = engine::now(), cpu_start = cpu_seconds();
  while (cpu_seconds() < cpu_start + 0.1) continue;
  return std::max(1.0, (engine::now() - start) / 0.1);
}

/// Waits for the end of all ranks, which has to come within `seconds` of a quiet machine.
int wait_for_end(DistJob& job, Started& program, double seconds) {
  const double start = engine::now(), before = crowding();
  const int code = program.wait();
  const double took = engine::now() - start, slower = std::max(before, crowding());
  job.output = program.output();
  INFO(job.output);
  INFO("the machine was slower by a factor of " << slower);
  CHECK(took < seconds * slower);
  CHECK(processes_with(job.run("run")).empty());
  return code;
}

struct EndlessJob : DistJob {
  EndlessJob() {
    set("budget.steps", 100000).set("schedule.steps", 100000).set("eval.every", 0).set("checkpoint.every", 0);
    set("parallel.check", false);
  }
};

}  // namespace

TEST_CASE("deaths: a rank that is killed ends all within 5 seconds", "[dist]") {
  if (!have_mpi()) return;
  EndlessJob job;
  Started program(launcher() + "-np 3 " + job.command(3, "run"), job.log());
  wait_for_lines(program, job.run("run"), 3);
  const std::vector<pid_t> ranks = processes_with(job.run("run"));
  INFO(program.output());
  REQUIRE(ranks.size() == 3);
  ::kill(ranks.back(), SIGKILL);
  CHECK(wait_for_end(job, program, 5) == 137);
}

TEST_CASE("deaths: a rank that hangs ends all within 5 seconds, with the update and the collective", "[dist]") {
  if (!have_mpi()) return;
  EndlessJob job;
  job.set("parallel.timeout", 2);
  Started program(launcher() + "-np 3 " + job.command(3, "run"), job.log());
  wait_for_lines(program, job.run("run"), 3);
  const std::vector<pid_t> ranks = processes_with(job.run("run"));
  REQUIRE(ranks.size() == 3);
  ::kill(ranks.back(), SIGSTOP);
  CHECK(wait_for_end(job, program, 5) == 1);
  const auto words = lines_with(job.output, "did not come to");
  REQUIRE(!words.empty());
  CHECK_THAT(words[0], Contains("rank ") && Contains(", update ") && Contains("collective "));
  CHECK(words.size() <= 3);  // mpirun wakes the stopped rank up before it kills it
}

TEST_CASE("deaths: rank 0 killed while it writes a checkpoint: no half one stays, and the run goes on", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.set("budget.steps", 20).set("schedule.steps", 20).set("eval.every", 0).set("checkpoint.keep", 10);
  REQUIRE(job.train_on(1, "whole") == 0);
  const std::string one = job.command(2, "run");
  Started program(launcher() + "-np 1 " + meddled("MEDDLE_FSYNC_MS=200") + one + " : -np 1 " + one, job.log());
  while (wait_for_writer(program, job.run("run")) && list_checkpoints(job.run("run")).empty()) ::usleep(2000);
  ::usleep(100000);  // into the second one
  // Both ranks have one command line: the one that holds the run folder is rank 0.
  pid_t writer = 0;
  for (pid_t pid : processes_with(job.run("run")))
    if (std::system(("ls -l /proc/" + std::to_string(pid) + "/fd 2>/dev/null | grep -q " + job.run("run") + "/.lock")
                        .c_str()) == 0)
      writer = pid;
  REQUIRE(writer != 0);
  ::kill(writer, SIGKILL);
  CHECK(wait_for_end(job, program, 5) == 137);
  const auto left = list_checkpoints(job.run("run"));
  REQUIRE(!left.empty());
  for (const CheckpointInfo& checkpoint : left) CHECK_NOTHROW(verify_checkpoint(checkpoint.folder));
  const int code = job.train_on(2, "run", "--resume");
  INFO(job.output);
  REQUIRE(code == 0);
  job.check_equal("whole", "run");
}

TEST_CASE("deaths: data that changes under one rank ends all, said once, and what was learned is kept", "[dist]") {
  if (!have_mpi()) return;
  EndlessJob job;
  const std::string data = engine::read_file(job.folder / "train.bin");
  for (const char* folder : {"a", "b"}) {
    engine::make_directories(job.folder / folder);
    engine::write_file(job.folder / (std::string(folder) + "/data.bin"), data);
  }
  job.set("data.train", "data.bin").set("data.valid", job.folder / "valid.bin");
  const std::string one = job.command(2, "run"), wdir = "--wdir " + (job.folder / "");
  Started program(launcher() + "-np 1 " + wdir + "a " + one + " : -np 1 " + wdir + "b " + one, job.log());
  wait_for_lines(program, job.run("run"), 5);
  const timespec times[2] = {{1, 0}, {1, 0}};
  REQUIRE(::utimensat(AT_FDCWD, (job.folder / "b/data.bin").c_str(), times, 0) == 0);
  CHECK(wait_for_end(job, program, 5) == 2);
  const auto lines = lines_with(job.output, "normlab train: ");
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines[0], Contains("rank 1 (") && Contains("data.bin: changed while it was read"));
  const auto checkpoints = list_checkpoints(job.run("run"));
  REQUIRE(checkpoints.size() == 1);
  CHECK(verify_checkpoint(checkpoints[0].folder).step == int64_t(series(job.run("run"), "loss").size()));
}
