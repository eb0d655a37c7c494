// A run that goes on with another number of ranks: the same state, the same rows.
#include <catch2/catch.hpp>
#include <cmath>

#include "ranks_job.h"

using namespace train;

TEST_CASE("restart: any number of ranks goes on from any other, with and without ZeRO: the same files") {
  RanksJob job;
  job.set("data.accumulate", 12).set("precision", "bf16").set("budget.steps", 2).set("schedule.steps", 2);
  job.set("eval.every", 0).set("checkpoint.every", 0).set("parallel.check", false);
  const std::string valid = job.folder / "valid.bin";
  for (int from = 1; from <= 4; ++from) {
    for (int to = 1; to <= 4; ++to) {
      const std::string name = std::to_string(from) + " to " + std::to_string(to);
      INFO(name);
      job.set("data.valid", "").set("parallel.zero", (from + to) % 2);
      job.train_on(from, name);
      const auto before = job.result(name);
      // Nothing is left to train. The validation that the run did not have makes a new checkpoint of the same step.
      job.set("data.valid", valid).set("parallel.zero", (from + to + 1) % 2);
      job.train_on(to, name, RunStart::resume);
      const auto after = job.result(name);
      CHECK(before.valid.empty());
      CHECK(after.valid.size() == 1);
      CHECK(after.files == before.files);
      CHECK(!after.files.empty());
    }
  }
}

TEST_CASE("restart: 4, 2, 1 and 3 ranks over an epoch's end see the rows of an unbroken run") {
  RanksJob job;
  job.set("data.accumulate", 12).set("budget.steps", 8).set("schedule.steps", 8).set("eval.every", 0);
  write_shard(job.folder / "train.bin", learnable_tokens(600, 16, 1), 16);  // 37 rows an epoch, 12 an update
  job.train_on(1, "whole");
  int64_t steps = 0;
  for (int ranks : {4, 2, 1, 3}) {
    job.set("budget.steps", steps += 2).set("parallel.zero", ranks % 2);
    job.train_on(ranks, "legs", steps == 2 ? RunStart::fresh : RunStart::resume);
  }
  // The order of sums differs, which shows in the last digits; another row shows in the third.
  const std::vector<double> whole = job.result("whole").losses, legs = job.result("legs").losses;
  REQUIRE(whole.size() == 8);
  REQUIRE(legs.size() == 8);
  for (size_t i = 0; i < 8; ++i) CHECK(legs[i] == Approx(whole[i]).epsilon(1e-5));
  write_shard(job.folder / "train.bin", learnable_tokens(600, 16, 3), 16);
  job.set("budget.steps", 8);
  job.train_on(1, "other rows");
  CHECK(std::abs(job.result("other rows").losses[7] - whole[7]) > 1e-3);
}
