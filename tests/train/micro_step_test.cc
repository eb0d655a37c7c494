// Micro-steps on a device that records: a replay does what the step does, bit for bit, nothing in it is
// stale, and nobody waits for the device while it runs.
#include "train/micro_step.h"

#include <catch2/catch.hpp>

#include "recorded_run.h"

#if defined(ENGINE_HAS_cuda_host)
using namespace train;

namespace {

const RecordedModel clm, mlm{models::Objective::mlm};

void same_as_recorded(const RecordedModel& model, DType dtype, UpdateOptions o = recorded_options) {
  INFO(dtype << ", objective " << int(model.objective) << ", " << model.norms << ", " << model.experts
             << " experts, " << model.classes << " classes");
  const RecordedRun eager(model, dtype, Device::cuda_host, o);
  o.graphs = o.check_graphs = true;
  const RecordedRun recorded(model, dtype, Device::cuda_host, o);
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
  same_as_recorded(clm, DType::f32);
  same_as_recorded(mlm, DType::f32);
}
TEST_CASE("steps on the sphere, of experts, of an adaptive vocabulary and of classifiers are recorded too", "[medium]") {
  UpdateOptions o = recorded_options;
  o.head_dropout = 0.1;
  same_as_recorded({.norms = "ngpt"}, DType::f32, o);
  same_as_recorded({.norms = "pre_ln", .experts = 4}, DType::f32, o);
  same_as_recorded({.norms = "pre_ln", .experts = 4}, DType::f16, o);
  o.vocabulary = 0;
  same_as_recorded({.adaptive = true}, DType::f32, o);
  same_as_recorded({.objective = models::Objective::classify, .classes = 3}, DType::f16, o);
  same_as_recorded({.objective = models::Objective::classify, .classes = 1}, DType::f32, o);
}
TEST_CASE("a replayed micro-step is the step in 16 bits and in f64, and where layers are computed again",
          "[medium]") {
  for (const DType dtype : {DType::bf16, DType::f16, DType::f64}) same_as_recorded(clm, dtype);
  UpdateOptions again = recorded_options;
  again.checkpointing = true;
  same_as_recorded(clm, DType::f32, again);
}

TEST_CASE("an update waits for its device once, a micro-step never") {
  for (const bool graphs : {false, true}) {
    UpdateOptions o = recorded_options;
    o.graphs = graphs;
    const RecordedRun run(clm, DType::f32, Device::cuda_host, o);
    CHECK(run.waits == std::vector<uint64_t>(5, 1));
  }
}

TEST_CASE("prepared micro-steps give the CPU's gradients", "[medium]") {
  UpdateOptions o = recorded_options, whole = recorded_options;
  whole.vocabulary = 0;
  const RecordedModel classifier{.objective = models::Objective::classify, .classes = 3};
  for (const RecordedModel& model :
       {clm, mlm, RecordedModel{.norms = "ngpt"}, RecordedModel{.norms = "pre_ln", .experts = 4},
        RecordedModel{.adaptive = true}, classifier}) {
    INFO("objective " << int(model.objective) << ", " << model.norms << ", " << model.experts << " experts");
    const UpdateOptions& options = model.adaptive || model.classes ? whole : o;
    const RecordedRun cpu(model, DType::f64, Device::cpu, options),
        gpu(model, DType::f64, Device::cuda_host, options);
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

TEST_CASE("a classifier's gradients take the loss scale in f16, and lose it again") {
  const RecordedModel model{.objective = models::Objective::classify, .classes = 3};
  for (const Device device : {Device::cpu, Device::cuda_host}) {
    const RecordedRun wide(model, DType::f32, device, recorded_options),
        narrow(model, DType::f16, device, recorded_options);
    CHECK(narrow.norms.front() == Approx(wide.norms.front()).epsilon(0.02));
  }
}
#endif
