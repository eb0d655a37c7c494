// Ranks whose tensors lie on a device: on the stand-in of a GPU, through the host's memory and by NCCL's calls.
#include <catch2/catch.hpp>

#include "launch.h"

using namespace train;
using Catch::Matchers::Contains;

#if defined(ENGINE_HAS_cuda_host)

TEST_CASE("gpu: two ranks on cuda-host have the bytes of one, with and without NCCL's calls", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.set("device", "cuda-host").set("model.width", 32).set("model.ffn_width", 64).set("data.accumulate", 2);
  job.set("budget.steps", 3).set("schedule.steps", 3).set("eval.every", 2);
  job.set("parallel.bucket_mib", 0.02);
  const std::string precision = GENERATE("f32", "memory-efficient f16", "zero 1 bf16");
  if (precision == "zero 1 bf16") job.set("precision", "bf16").set("parallel.zero", 1);
  if (precision == "memory-efficient f16")
    job.set("precision", "f16").set("loss_scale.memory_efficient", true).set("optim.eps", 1e-4);
  INFO(precision);
  REQUIRE(job.train_on(1, "one") == 0);
  for (bool nccl : {false, true}) {
    const std::string name = nccl ? "nccl" : "host";
    Started program(launcher(nccl ? "NORMLAB_NCCL=" FAKE_NCCL : "") + "-np 2 " + job.command(2, name), job.log());
    const int code = program.wait();
    INFO(program.output());
    REQUIRE(code == 0);
    CHECK(lines_with(program.output(), "gradients travel by NCCL 2.27.3").size() == (nccl ? 1 : 0));
    job.check_equal("one", name);
  }
}

TEST_CASE("gpu: NCCL that one rank lacks: a warning, and gradients travel through the host's memory", "[dist]") {
  if (!have_mpi()) return;
  DistJob job;
  job.set("device", "cuda-host").set("model.width", 16).set("model.ffn_width", 32).set("data.accumulate", 2);
  job.set("budget.steps", 2).set("schedule.steps", 2).set("eval.every", 0);
  const std::string one = job.command(2, "run");
  Started program(launcher("NORMLAB_NCCL=" FAKE_NCCL) + "-np 1 " + one + " : -np 1 env NORMLAB_NCCL=/nowhere.so " + one,
                  job.log());
  CHECK(program.wait() == 0);
  const auto lines = lines_with(program.output(), "gradients travel");
  REQUIRE(lines.size() == 1);
  CHECK_THAT(lines[0], Contains("through the host's memory: rank 1: no NCCL: tried /nowhere.so"));
}

#endif
