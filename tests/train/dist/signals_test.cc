// Signals that one rank sees, and a clock that only one rank has: all ranks do the same.
#include <catch2/catch.hpp>

#include "launch.h"

using namespace train;

namespace {

/// One rank of the two; they have one command line, so which one it is is left to chance.
pid_t one_rank(const DistJob& job) {
  const std::vector<pid_t> ranks = processes_with(job.run("run"));
  REQUIRE(ranks.size() == 2);
  return ranks.back();
}

/// All stopped at one update, with 130 and a checkpoint of it that is whole.
void check_stopped(DistJob& job, Started& program) {
  const int code = program.wait();
  job.output = program.output();
  INFO(job.output);
  CHECK(code == 130);
  CHECK(lines_with(job.output, "stopped at step ").size() == 1);
  const auto checkpoints = list_checkpoints(job.run("run"));
  REQUIRE(!checkpoints.empty());
  for (const CheckpointInfo& checkpoint : checkpoints) CHECK_NOTHROW(verify_checkpoint(checkpoint.folder));
  CHECK(checkpoints.back().step == int64_t(series(job.run("run"), "loss").size()));
}

/// The run goes on as if nothing had happened.
void check_goes_on(DistJob& job) {
  REQUIRE(job.train_on(1, "whole") == 0);
  const int code = job.train_on(2, "run", "--resume");
  INFO(job.output);
  REQUIRE(code == 0);
  job.check_equal("whole", "run");
}

}  // namespace

TEST_CASE("signals: to one rank or to mpirun, in an update: all stop at one update", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.set("budget.steps", 100000).set("schedule.steps", 100000).set("eval.every", 10).set("checkpoint.every", 0);
  const bool to_mpirun = GENERATE(true, false);
  Started program(launcher() + "-np 2 " + job.command(2, "run"), job.log());
  wait_for_lines(program, job.run("run"), 15);
  if (to_mpirun)
    ::kill(program.pid(), SIGUSR1);
  else
    ::kill(one_rank(job), SIGTERM);
  check_stopped(job, program);
}

TEST_CASE("signals: before the first update: nothing was trained, and that is said", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.set("budget.steps", 100000)
      .set("schedule.steps", 100000)
      .set("eval.every", 0)
      .set("checkpoint.every", 0);
  const int after =
      GENERATE(150, 300, 450);  // milliseconds: while the ranks find each other, open data, begin
  Started program(launcher() + "-np 2 " + job.command(2, "run"), job.log());
  for (int waited = 0; waited < 200 && processes_with(job.run("run")).size() < 2; ++waited) ::usleep(20'000);
  ::usleep(unsigned(after) * 1000);
  ::kill(program.pid(), SIGUSR1);
  const int code = program.wait();
  job.output = program.output();
  INFO(job.output);
  // Where a rank has not yet come to listen, mpirun ends the job by the signal; from then on it is 130, with
  // a line.
  CHECK((code == 130 || code == 128 + SIGUSR1));
  if (code == 130)
    CHECK(lines_with(job.output, "stopped at step ").size() +
              lines_with(job.output, "nothing was trained yet").size() ==
          1);
  CHECK(processes_with(job.run("run")).empty());
}

TEST_CASE("signals: to one rank, in validation: it is given up, and made up for after the resume", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  write_shard(job.folder / "valid.bin", learnable_tokens(4800, 16, 2), 16);  // takes its time
  Started program(launcher() + "-np 2 " + job.command(2, "run"), job.log());
  wait_for_lines(program, job.run("run"), 1);
  const pid_t rank = one_rank(job);
  wait_for_lines(program, job.run("run"), 4);
  ::kill(rank, SIGTERM);
  check_stopped(job, program);
  CHECK(series(job.run("run"), "loss").size() == 4);
  CHECK(series(job.run("run"), "valid_loss").empty());
  check_goes_on(job);
}

TEST_CASE("signals: to one rank, while a checkpoint is written: it and the last one are whole", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.set("budget.steps", 40).set("schedule.steps", 40).set("eval.every", 0).set("checkpoint.every", 5);
  const std::string one = job.command(2, "run");
  Started program(launcher() + "-np 1 " + meddled("MEDDLE_FSYNC_MS=150") + one + " : -np 1 " + one, job.log());
  REQUIRE(wait_for_writer(program, job.run("run")));
  ::kill(one_rank(job), SIGTERM);
  check_stopped(job, program);
  CHECK(series(job.run("run"), "loss").size() < 40);
  check_goes_on(job);
}

TEST_CASE("signals: a rank whose clock is ahead saves and ends when rank 0's says", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.config["budget"] = {{"seconds", 1}};
  job.set("schedule.steps", 100000).set("eval.every", 0).set("checkpoint.every", 0).set("checkpoint.seconds", 0.3);
  const std::string mine = job.command(2, "run"), ahead = meddled("MEDDLE_CLOCK_S=3") + mine;
  const bool first = GENERATE(false, true);
  Started program(launcher() + "-np 1 " + (first ? ahead : mine) + " : -np 1 " + (first ? mine : ahead), job.log());
  const int code = program.wait();
  INFO(program.output());
  CHECK(code == 0);
  CHECK(lines_with(program.output(), "finished at step ").size() == 1);
  CHECK(list_checkpoints(job.run("run")).size() > 1);
  const std::vector<double> seconds = series(job.run("run"), "seconds");
  const size_t updates = series(job.run("run"), "loss").size();
  REQUIRE(updates > 3);
  for (size_t i = 1; i + 1 < updates; ++i) CHECK((seconds[i] > seconds[i - 1] && seconds[i] < 1));
}
