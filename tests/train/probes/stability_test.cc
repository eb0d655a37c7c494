// The rule that says when a learning-rate ramp has broken a run.
#include "train/probes/stability.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "../training_support.h"
#include "engine/base/file.h"
#include "engine/core/device.h"
#include "shared_data.h"
#include "train/failure.h"
#include "train/probes/ramp_run.h"

using namespace train;

namespace {

std::optional<RampFailure> judge(const std::vector<double>& losses, double level) {
  RampJudge judge(level);
  for (const double loss : losses)
    if (const auto failure = judge.observe(loss, 1)) return failure;
  return {};
}

}  // namespace

TEST_CASE("ramps fail where the reference says") {
  const std::string path = shared_path("reference/probes/stability_criterion.json");
  if (path.empty()) return;
  const Json reference = engine::read_json(path);
  for (const auto& [name, unit] : reference["cases"].items()) {
    INFO(name);
    std::vector<double> losses;
    for (const Json& loss : unit["losses"]) losses.push_back(loss.is_null() ? NAN : loss.get<double>());
    const auto failure = judge(losses, unit["level"].get<double>());
    REQUIRE(failure.has_value() == !unit["failure"].is_null());
    if (!failure) continue;
    CHECK(failure->reason == unit["failure"]["reason"]);
    CHECK(failure->step == unit["failure"]["step"]);
    CHECK(failure->detected_at == unit["failure"]["detected_at"]);
  }
  for (const Json& example : reference["median_examples"]) {
    std::vector<std::optional<double>> steps;
    for (const Json& step : example["steps"])
      steps.push_back(step.is_null() ? std::optional<double>() : step.get<double>());
    const auto median = median_with_survivors(steps);
    REQUIRE(median.has_value() == !example["median"].is_null());
    if (median) CHECK(*median == example["median"].get<double>());
  }
}

TEST_CASE("a spike of four updates is no failure, a gradient that is no number is one") {
  std::vector<double> losses(30, 2.0);
  for (int i = 0; i < 4; ++i) losses.push_back(50);
  losses.insert(losses.end(), 30, 2.0);
  CHECK(!judge(losses, 3.3));
  losses.insert(losses.begin() + 31, 4, 50);  // eight of them
  CHECK(judge(losses, 3.3)->step == 31);
  RampJudge ramp(3.3);
  CHECK(!ramp.observe(3, 1));
  CHECK(ramp.observe(3, INFINITY)->reason == "nonfinite");
}

namespace {

struct RampJob : Job {
  TrainConfig ramp(const RampSettings& settings) {
    engine::write_file(folder / "config.json", config.dump());
    return ramp_config({folder / "config.json", {}}, "pre_ln", 1, settings);
  }
};

}  // namespace

TEST_CASE("a ramp's update has its rate in f16 too, where the loss scaler skips some") {
  RampJob job;
  job.set("precision", "f16").set("loss_scale.init", 1 << 24);  // the first updates overflow
  const RampSettings settings{1e-4, 2e-3};
  std::vector<double> rates;
  int64_t overflows = 0;
  const RampRun run =
      run_ramp(job.ramp(settings), 3, [&](const TrainConfig& config, const UpdateWatch& watch) {
        train_watched(config, [&](const UpdateView& update) {
          rates.push_back(update.lr);
          overflows += !std::isfinite(update.norm);
          return watch(update);
        });
      });
  CHECK(!run.failure);
  CHECK(overflows > 2);
  REQUIRE(rates.size() == 21);  // up to the highest rate: the run has been there
  for (size_t i = 0; i < rates.size(); ++i) CHECK(rates[i] == Approx(double(i) * settings.step));
}

TEST_CASE("a device that is lost in a ramp says nothing of the rate, a divergence does") {
  RampJob job;
  const TrainConfig config = job.ramp({1e-4, 2e-3});
  const auto ends_at_four = [&](const auto& error) {
    return [&error](const TrainConfig& c, const UpdateWatch& watch) {
      train_watched(c, [&](const UpdateView& update) {
        const bool on = watch(update);
        if (update.step == 4) throw error;
        return on;
      });
    };
  };
  const engine::DeviceError lost("device cuda: it fell off the bus");
  CHECK_THROWS_WITH(run_ramp(config, 3, ends_at_four(lost)), Catch::Matchers::Contains("fell off the bus"));
  const Divergence diverged("no number");
  const RampRun run = run_ramp(config, 3, ends_at_four(diverged));
  REQUIRE(run.failure);
  CHECK(run.failure->step == 4);
  CHECK(*run.lr == Approx(3e-4));
}
