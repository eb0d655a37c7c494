// The loss scaler: growth, back-off, floor, skip, abort, tolerance; fairseq's own traces; the gradient
// factor.
#include "train/loss_scaler.h"
#include "engine/ops/gradient_factor.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "engine/base/check.h"
#include "shared_data.h"

using namespace train;
using Catch::Matchers::Contains;
using engine::Json;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();

LossScaleConfig make(double init, int64_t window) {
  LossScaleConfig c;
  c.init = init, c.window = window;
  return c;
}

/// The scale after each input; inputs: f finite, i infinite, n NaN. Stops at an abort.
std::string run(LossScaler& scaler, const std::string& inputs) {
  std::string events;
  for (char c : inputs) {
    const ScaleEvent e = scaler.observe(c == 'f' ? 1.0 : c == 'i' ? inf : NAN);
    events += e == ScaleEvent::apply ? '.' : e == ScaleEvent::skip ? 's' : 'a';
    if (e == ScaleEvent::abort) break;
  }
  return events;
}

}  // namespace

TEST_CASE("loss scaler: doubles after exactly `window` clean updates, again `window` after an overflow") {
  LossScaler s(make(4, 3), 1, 1);
  CHECK(run(s, "ff") == "..");
  CHECK(s.scale() == 4);
  run(s, "f");
  CHECK(s.scale() == 8);
  CHECK(run(s, "fi") == ".s");
  CHECK(s.scale() == 4);
  run(s, "ff");
  CHECK(s.scale() == 4);
  run(s, "f");
  CHECK(s.scale() == 8);
}

TEST_CASE("loss scaler: abort restores the scale and names step, place and cure") {
  LossScaler s(make(4, 3), 1, 1);
  CHECK(run(s, std::string(16, 'n')) == std::string(15, 's') + "a");
  CHECK(s.scale() == std::ldexp(4.0, -15));
  CHECK_THAT(s.abort_message(7, "layer 0, attention scores"),
             Contains("step 7") && Contains("layer 0, attention scores") && Contains("optim.lr"));
}

TEST_CASE("loss scaler: a floor above the minimum is never fallen below, and no reason to go on for ever") {
  LossScaleConfig c = make(4, 3);
  c.floor = 1;
  LossScaler s(c, 1, 1);
  CHECK(run(s, std::string(50, 'i')) == std::string(50, 's'));
  CHECK(s.scale() == 1);
  CHECK(run(s, std::string(949, 'n')) == std::string(949, 's'));
  CHECK(run(s, "f") == ".");  // the count begins anew
  CHECK(run(s, std::string(2000, 'i')) == std::string(999, 's') + "a");
  CHECK(s.scale() == 1);
  CHECK_THAT(s.abort_message(7, "layer 0"), Contains("loss scale 1 (layer 0); 1000 times in a row"));
}

TEST_CASE("loss scaler: growth has an end, where gradients that are all zero would never overflow") {
  LossScaleConfig c = make(4, 1);
  c.factor = 1e6;
  LossScaler s(c, 1, 1);
  for (int i = 0; i < 1000; ++i) CHECK(s.observe(0) == ScaleEvent::apply);
  CHECK(s.scale() == LossScaler::largest_grown);
  CHECK(1 / float(s.scale()) > 0);
  CHECK(run(s, "i") == "s");
  CHECK(s.scale() == LossScaler::largest_grown / 1e6);
  LossScaler larger(make(1e30, 1), 1, 1);  // asked for
  CHECK(run(larger, "f") == ".");
  CHECK(larger.scale() == 1e30);
}

TEST_CASE("loss scaler: the default window follows ranks and accumulation") {
  CHECK(LossScaler(make(4, 0), 1, 1).window() == 16384);
  CHECK(LossScaler(make(4, 0), 8, 16).window() == 128);
  CHECK(LossScaler(make(4, 0), 8, 1 << 20).window() == 1);
  CHECK_THROWS_WITH(LossScaler(make(4, 0), 0, 1), Contains("0 ranks"));
  CHECK_THROWS_WITH(LossScaler(make(0, 0), 1, 1), Contains("init 0"));
}

TEST_CASE("loss scaler: every trace of fairseq's") {
  const std::string path = shared_path("reference/fairseq_traces.json");
  if (path.empty()) return;
  const Json all = engine::read_json(path)["loss_scaler"]["traces"];
  REQUIRE(all.size() == 20);
  for (const Json& trace : all) {
    INFO(trace["name"]);
    const Json& t = trace["settings"];
    LossScaleConfig c = make(t["init_scale"], t["scale_window"]);
    c.factor = t["scale_factor"], c.tolerance = t["tolerance"], c.min = t["min_loss_scale"];
    c.floor = t["threshold"].is_null() ? 0 : t["threshold"].get<double>();
    LossScaler scaler(c, 1, 1);
    const std::string inputs = trace["inputs"], events = trace["events"];
    REQUIRE(trace["scale"].size() == events.size());
    for (size_t i = 0; i < events.size(); ++i) {
      LossScaler resumed(c, 1, 1);  // through JSON before every step: the state is complete
      resumed.restore(engine::parse_json(scaler.state().dump(), "state"), "state");
      CHECK(run(resumed, inputs.substr(i, 1)) == events.substr(i, 1));
      CHECK(resumed.scale() == trace["scale"][i].get<double>());
      scaler = resumed;
    }
  }
}

TEST_CASE("loss scaler: broken state is refused") {
  LossScaler s(make(4, 3), 1, 1);
  const Json good = s.state();
  const auto broken = [&](const char* key, Json value) {
    Json state = good;
    state[key] = value;
    s.restore(state, "checkpoint: scaler");
  };
  CHECK_THROWS_WITH(broken("scale", -1.0), Contains("checkpoint: scaler.scale: -1 is not above 0"));
  CHECK_THROWS_WITH(broken("iteration", -1), Contains("outside"));
  CHECK_THROWS_WITH(broken("skale", 1), Contains("nearest valid key: \"scale\""));
  CHECK_THROWS_WITH(s.restore(Json{{"scale", 1.0}}, "x"), Contains("x: iteration is missing"));
  Json later = good;
  later["iteration"] = 3, later["last_overflow"] = 3;
  CHECK_THROWS_WITH(s.restore(later, "x"), Contains("not before iteration 3"));
}

TEST_CASE("gradient factor: unscale, average, clip in one number") {
  using engine::clip_factor, engine::gradient_factor;
  const auto f = [](double most) { return gradient_factor(4, 8, 64, {.most = most, .exact = true}); };
  CHECK(f(0).norm == 2.0);
  CHECK(f(0).factor == 1.0 / 32);
  CHECK(f(3).factor == 1.0 / 32);
  CHECK(f(0.5).factor == 1.0 / 128);
  CHECK(f(0.5).unclipped == 1.0 / 32);
  CHECK(clip_factor(2, {.most = 0}) == 1);
  CHECK(clip_factor(2, {.most = 3}) == 1);
  CHECK(clip_factor(2, {.most = 1}) == Approx(1 / 2.000001).epsilon(1e-15));
}

TEST_CASE("gradient factor and scaler follow fairseq's f16 wrappers") {
  const std::string path = shared_path("reference/fairseq_traces.json");
  if (path.empty()) return;
  const Json all = engine::read_json(path)["mixed_precision"]["traces"];
  REQUIRE(all.size() == 4);
  int clipped = 0;
  for (const Json& trace : all) {
    const Json& t = trace["settings"];
    INFO(t["wrapper"] << " clip " << t["clip_norm"]);
    LossScaler scaler(make(t["init_scale"], t["scale_window"]), 1, 1);
    for (size_t i = 0; i < trace["steps"].size(); ++i) {
      const Json& step = trace["steps"][i];
      CHECK(scaler.scale() == step["scale_before"].get<double>());
      double squares = 0;
      for (const Json& g : step["raw_fp16_grad"]) {
        const double x = g.is_string() ? std::strtod(g.get<std::string>().c_str(), nullptr) : g.get<double>();
        squares += x * x;
      }
      const double max = t["clip_norm"];
      const engine::GradientFactor formed = engine::gradient_factor(
          scaler.scale(), t["tokens"][i].get<double>(), std::sqrt(squares), {.most = max, .exact = true});
      const double norm = formed.norm;
      if (step.contains("grad_norm")) CHECK(norm == Approx(step["grad_norm"].get<double>()).epsilon(1e-6));
      if (std::isfinite(norm) && max > 0 && norm > max) {
        CHECK(formed.factor * std::sqrt(squares) == Approx(max).epsilon(1e-12));
        ++clipped;
      }
      const ScaleEvent event = scaler.observe(norm);
      CHECK(step["event"] == (event == ScaleEvent::apply ? "." : event == ScaleEvent::skip ? "s" : "a"));
      CHECK(scaler.scale() == step["scale_after"].get<double>());
    }
  }
  CHECK(clipped > 5);
}
