// Rank 0's disk: slow, and full.
#include <catch2/catch.hpp>

#include "launch.h"
#include "small_disk.h"

using namespace train;
using Catch::Matchers::Contains;

TEST_CASE("disk: a checkpoint every update, by a writer that is slower than the updates", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.set("budget.steps", 25).set("schedule.steps", 25).set("eval.every", 0).set("checkpoint.every", 1);
  REQUIRE(job.train_on(1, "whole") == 0);
  const std::string one = job.command(2, "run", "--set parallel.zero=1");
  Started program(launcher() + "-np 1 " + meddled("MEDDLE_FSYNC_MS=10") + one + " : -np 1 " + one, job.log());
  const int code = program.wait();
  INFO(program.output());
  REQUIRE(code == 0);
  job.check_equal("whole", "run");
}

TEST_CASE("disk: full: training goes on, the end is an error of all ranks, and the run resumes", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.set("budget.steps", 12).set("schedule.steps", 12).set("eval.every", 0).set("checkpoint.every", 2);
  job.set("checkpoint.keep", 4).set("checkpoint.keep_best", 0);
  REQUIRE(job.train_on(1, "whole") == 0);
  const std::string folder = list_checkpoints(job.run("whole")).back().folder;
  size_t kib = 0;
  for (const std::string& file : engine::list_folder(folder))
    kib += (engine::file_size(folder + "/" + file) + 4095) / 4096 * 4;
  engine::make_directories(job.run("run"));
  const SmallDisk disk(job.run("run"), std::to_string(kib * 5 / 2) + "k");  // two checkpoints and a half
  if (!disk.usable()) return;
  CHECK(job.train_on(2, "run", "--set parallel.zero=1") == 2);
  {
    INFO(job.output);
    const auto errors = lines_with(job.output, "normlab train: ");
    REQUIRE(errors.size() == 1);
    CHECK_THAT(errors[0], Contains("No space left on device"));
    CHECK(lines_with(job.output, "training goes on").size() == 3);  // of steps 6, 8 and 10
  }
  std::vector<int64_t> steps;
  for (const CheckpointInfo& c : list_checkpoints(job.run("run"))) steps.push_back(verify_checkpoint(c.folder).step);
  CHECK(steps == std::vector<int64_t>{2, 4});
  CHECK(processes_with(job.run("run")).empty());
  REQUIRE(disk.resize("64m"));
  const int code = job.train_on(2, "run", "--resume");
  INFO(job.output);
  REQUIRE(code == 0);
  job.check_equal("whole", "run");
}
