// The rule that says when a learning-rate ramp has broken a run.
#include "train/probes/stability.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/base/json.h"
#include "shared_data.h"

using namespace train;
using engine::Json;

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
