// Two layers trained on the stand-in: the CPU's losses, in every precision, with overflows of f16, and after
// a resume.
#include <catch2/catch.hpp>
#include <cmath>

#include "training_support.h"

#if defined(ENGINE_HAS_cuda_host)
using namespace train;

namespace {

void follows_the_cpu(Job& job, double tolerance) {
  job.set("budget.steps", 10).set("dropout.residual", 0.1);
  job.train("cpu");
  job.set("device", "cuda-host").train("gpu");
  const std::vector<double> expected = series(job.run("cpu"), "loss"), got = series(job.run("gpu"), "loss");
  REQUIRE(expected.size() == 10);
  REQUIRE(got.size() == 10);
  for (size_t i = 0; i < got.size(); ++i) {
    INFO("update " << i);
    CHECK(std::fabs(got[i] - expected[i]) <= tolerance * std::fabs(expected[i]));
  }
}

}  // namespace

TEST_CASE("training on cuda-host follows the CPU in f32", "[medium]") {
  Job job;
  follows_the_cpu(job, 1e-4);
}
TEST_CASE("training on cuda-host follows the CPU in bf16", "[medium]") {
  Job job;
  job.set("precision", "bf16");
  follows_the_cpu(job, 5e-3);
}
TEST_CASE("training on cuda-host follows the CPU in f16, through overflows", "[medium]") {
  Job job;
  job.set("precision", "f16").set("loss_scale.init", 33554432);
  follows_the_cpu(job, 5e-3);
  const std::vector<double> scale = series(job.run("gpu"), "loss_scale");
  CHECK(scale == series(job.run("cpu"), "loss_scale"));
  CHECK(scale.back() < 33554432);
}
TEST_CASE("a run on cuda-host that was cut goes on as if it had not been", "[medium]") {
  Job job;
  job.set("device", "cuda-host").set("budget.steps", 8).train("whole");
  job.set("budget.steps", 3).train("cut");
  job.set("budget.steps", 8).train("cut", RunStart::resume);
  CHECK(series(job.run("whole"), "loss") == series(job.run("cut"), "loss"));
  CHECK(series(job.run("cut"), "loss").size() == 8);
}
#endif
