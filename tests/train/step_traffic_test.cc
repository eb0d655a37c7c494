// A step's traffic continued from smaller steps is what the step itself is counted to ask.
#include "train/bench/step_traffic.h"

#include <catch2/catch.hpp>

#if defined(ENGINE_HAS_cuda_host)
namespace train {
namespace {

void continues(models::Objective objective, const char* norms) {
  const StepWork work{"", "", 3, 64, 1, 3072, objective, 3, 256};
  const StepOptions options{.norms = norms, .precision = engine::DType::bf16};
  const StepTraffic whole = count_step(work, options), continued = predict_step(work, options);
  INFO(norms << ", objective " << int(objective));
  const engine::TrafficCount &a = whole.step, &b = continued.step;
  CHECK(b.launches == a.launches);
  CHECK(b.matrix_flop == Approx(a.matrix_flop).epsilon(1e-9));
  CHECK(b.dram_read == Approx(a.dram_read).epsilon(0.02));
  CHECK(b.dram_write == Approx(a.dram_write).epsilon(0.02));
  CHECK(b.sector_bytes == Approx(a.sector_bytes).epsilon(0.02));
  CHECK(b.seconds == Approx(a.seconds).epsilon(0.02));
  CHECK(continued.floor < b.seconds);
}

}  // namespace

TEST_CASE("a predicted step is the counted one, continued", "[medium]") {
  continues(models::Objective::clm, "pre_ln");
  continues(models::Objective::mlm, "normformer");
}

}  // namespace train
#endif
