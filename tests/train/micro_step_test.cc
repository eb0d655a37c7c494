// Micro-steps on a device that records: a replay does what the step does, bit for bit, nothing in it is
// stale, and nobody waits for the device while it runs.
#include "train/micro_step.h"

#include <catch2/catch.hpp>

#include "recorded_run.h"

#if defined(ENGINE_HAS_cuda_host)
using namespace train;

namespace {

void same_as_recorded(models::Objective objective, DType dtype, UpdateOptions o = recorded_options) {
  INFO(dtype << ", objective " << int(objective));
  const RecordedRun eager(objective, dtype, Device::cuda_host, o);
  o.graphs = o.check_graphs = true;
  const RecordedRun recorded(objective, dtype, Device::cuda_host, o);
  CHECK(eager.replays == 0);
  CHECK(recorded.replays ==
        8);  // 5 updates; of the first and of the later micro-batches, one each ran as it came
  CHECK(recorded.losses == eager.losses);
  CHECK(recorded.norms == eager.norms);
  CHECK(recorded.gradients == eager.gradients);
  CHECK(recorded.parameters == eager.parameters);
}

}  // namespace

TEST_CASE("a replayed micro-step is the step, bit for bit") {
  same_as_recorded(models::Objective::clm, DType::f32);
  same_as_recorded(models::Objective::mlm, DType::f32);
}
TEST_CASE("a replayed micro-step is the step in 16 bits and in f64, and where layers are computed again",
          "[medium]") {
  for (const DType dtype : {DType::bf16, DType::f16, DType::f64})
    same_as_recorded(models::Objective::clm, dtype);
  UpdateOptions again = recorded_options;
  again.checkpointing = true;
  same_as_recorded(models::Objective::clm, DType::f32, again);
}

TEST_CASE("an update waits for its device once, a micro-step never") {
  for (const bool graphs : {false, true}) {
    UpdateOptions o = recorded_options;
    o.graphs = graphs;
    const RecordedRun run(models::Objective::clm, DType::f32, Device::cuda_host, o);
    CHECK(run.waits == std::vector<uint64_t>(5, 1));
  }
}

TEST_CASE("prepared micro-steps give the CPU's gradients") {
  for (const models::Objective objective : {models::Objective::clm, models::Objective::mlm}) {
    const RecordedRun cpu(objective, DType::f64, Device::cpu, recorded_options),
        gpu(objective, DType::f64, Device::cuda_host, recorded_options);
    double size = 0, error = 0;
    for (size_t i = 0; i < cpu.gradients.size(); ++i) {
      const double d = gpu.gradients[i] - cpu.gradients[i];
      size += cpu.gradients[i] * cpu.gradients[i], error += d * d;
    }
    CHECK(size > 0);
    CHECK(error <= 1e-20 * size);
    for (size_t i = 0; i < cpu.losses.size(); ++i)
      CHECK(gpu.losses[i] == Approx(cpu.losses[i]).epsilon(1e-11));
  }
}

TEST_CASE("nGPT is not recorded, and trains step by step") {
  UpdateOptions o = recorded_options;
  o.graphs = true;
  const RecordedRun run(models::Objective::clm, DType::f32, Device::cuda_host, o, "ngpt");
  CHECK(run.replays == 0);
  CHECK(run.losses.back() < run.losses.front() + 1);
}
#endif
