// Learning-rate schedules: against fairseq's schedulers, against the formulas by hand, and at the edges.
#include "train/schedule.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/base/check.h"
#include "largest_gap.h"
#include "shared_data.h"

using namespace train;
using Catch::Matchers::Contains;
using engine::Json;

namespace {

ScheduleConfig make(ScheduleKind kind, Counting counting, int64_t warmup, double min_lr = 0) {
  ScheduleConfig c;
  c.name = kind, c.counting = counting, c.warmup = warmup, c.min_lr = min_lr;
  return c;
}

/// fairseq's arguments as ours; negative "use another value" defaults resolved as fairseq resolves them.
Schedule from_fairseq(const Json& s) {
  const double lr = s["lr"];
  int64_t total = 0;
  ScheduleConfig c = make(ScheduleKind::constant, Counting::completed, s["warmup_updates"]);
  if (s.contains("power")) {
    c.name = ScheduleKind::polynomial;
    c.power = s["power"], c.min_lr = s["end_learning_rate"], total = s["total_num_update"];
  } else if (s.contains("t_mult")) {
    c.name = ScheduleKind::cosine;
    c.min_lr = s["min_lr"], c.period_factor = s["t_mult"], c.shrink = s["lr_shrink"];
    c.period = s["lr_period_updates"];
    if (c.period <= 0) c.period = s["max_update"].get<int64_t>() - c.warmup;
    c.warmup_from = s["warmup_init_lr"] < 0 ? c.min_lr : s["warmup_init_lr"].get<double>();
  } else {
    c.name = ScheduleKind::inverse_sqrt;
    c.warmup_from = s["warmup_init_lr"] < 0 ? 0 : s["warmup_init_lr"].get<double>();
  }
  return Schedule(c, lr, total);
}

}  // namespace

TEST_CASE("schedules agree with fairseq's") {
  const std::string path = shared_path("reference/fairseq_traces.json");
  if (path.empty()) return;
  const Json lr = engine::read_json(path)["lr"];
  REQUIRE(lr["traces"].size() == 11);
  for (const Json& trace : lr["traces"]) {
    INFO(trace["name"]);
    const Schedule schedule = from_fairseq(trace["settings"]);
    double worst = 0;
    for (size_t n = 0; n < trace["lr"].size(); ++n) {
      const double expected = trace["lr"][n], scale = std::max(std::fabs(expected), 1e-12);
      worst = larger(worst, (schedule.rate(int64_t(n)) - expected) / scale);
    }
    CHECK(worst < 1e-12);
  }
}

TEST_CASE("schedules: the three ways of counting differ by one update") {
  const auto rates = [](Counting counting) {
    return Schedule(make(ScheduleKind::linear, counting, 4), 1.0, 12);
  };
  const Schedule completed = rates(Counting::completed), current = rates(Counting::current),
                 split = rates(Counting::split);
  CHECK(completed.rate(0) == 0);
  CHECK(completed.rate(4) == 1);
  CHECK(completed.rate(12) == 0);
  for (int n = 0; n < 20; ++n) CHECK(current.rate(n) == completed.rate(n + 1));
  for (int n = 0; n < 4; ++n) CHECK(split.rate(n) == current.rate(n));
  for (int n = 4; n < 20; ++n) CHECK(split.rate(n) == completed.rate(n));
  CHECK(split.rate(3) == 1);
  CHECK(split.rate(4) == 1);
  CHECK(split.rate(100) == 0);
}

TEST_CASE("schedules: cosine as nanoGPT trains") {
  const Schedule s(make(ScheduleKind::cosine, Counting::split, 100, 1e-4), 1e-3, 2000);
  for (int it : {0, 50, 99, 100, 101, 1000, 1999}) {
    const double expected =
        it < 100 ? 1e-3 * (it + 1) / 100 : 1e-4 + 0.5 * 9e-4 * (1 + std::cos(M_PI * (it - 100) / 1900));
    CHECK(s.rate(it) == Approx(expected).epsilon(1e-13));
  }
  CHECK(s.rate(5000) == Approx(1e-4));
}

TEST_CASE("schedules: constant, inverse square root, ramp") {
  CHECK(Schedule(make(ScheduleKind::constant, Counting::split, 0), 0.5, 0).rate(1000) == 0.5);
  const Schedule root(make(ScheduleKind::inverse_sqrt, Counting::split, 4), 1.0, 0);
  CHECK(root.rate(0) == 0.25);
  CHECK(root.rate(16) == 0.5);
  const Schedule ramp(make(ScheduleKind::ramp, Counting::completed, 0), 1.0, 0);
  CHECK(ramp.rate(0) == 0);
  CHECK(ramp.rate(100) == Approx(5e-3));
}

TEST_CASE("schedules: wsd holds the peak, then decays by its shape") {
  ScheduleConfig c = make(ScheduleKind::wsd, Counting::completed, 10, 0.1);
  CHECK(Schedule(c, 1.0, 100).rate(5) == 0.5);
  CHECK(Schedule(c, 1.0, 100).rate(80) == 1.0);
  CHECK(Schedule(c, 1.0, 100).rate(90) == Approx(0.55));
  CHECK(Schedule(c, 1.0, 100).rate(100) == Approx(0.1));
  c.decay_shape = DecayShape::sqrt;
  CHECK(Schedule(c, 1.0, 100).rate(85) == Approx(0.1 + 0.9 * 0.5));
  c.decay_shape = DecayShape::cosine;
  CHECK(Schedule(c, 1.0, 100).rate(90) == Approx(0.55));
  c.decay_fraction = 0;
  CHECK(Schedule(c, 1.0, 100).rate(100) == 1.0);
}

TEST_CASE("schedules: by the clock") {
  const Schedule s(make(ScheduleKind::linear, Counting::split, 10), 1.0, 0);
  CHECK(s.rate(4, 0.5) == 0.5);  // still in the warm-up
  CHECK(s.rate(500, 0.25) == 0.75);
  CHECK(s.rate(500, 2.0) == 0);
  CHECK(Schedule(make(ScheduleKind::wsd, Counting::split, 0), 1.0, 0).rate(7, 0.9) == Approx(0.5));
  CHECK(Schedule(make(ScheduleKind::constant, Counting::split, 0), 1.0, 0).rate(7, 0.9) == 1);
  ScheduleConfig fixed = make(ScheduleKind::linear, Counting::split, 0);
  fixed.steps = 10;  // an explicit length wins over the clock
  CHECK(Schedule(fixed, 1.0, 0).rate(5, 0.9) == 0.5);
}

TEST_CASE("schedules: of a clock and a number of updates, the decay ends with what is spent first") {
  for (const ScheduleKind kind :
       {ScheduleKind::linear, ScheduleKind::cosine, ScheduleKind::polynomial, ScheduleKind::wsd}) {
    INFO(int(kind));
    const Schedule both(make(kind, Counting::split, 10, 0.1), 1.0, 1000);
    // Time for 200 updates: the rates of a run of 200.
    const Schedule short_run(make(kind, Counting::split, 10, 0.1), 1.0, 200);
    for (const int64_t n : {5, 10, 50, 199, 200})
      CHECK(both.rate(n, double(n) / 200) == Approx(short_run.rate(n)).epsilon(1e-12));
    CHECK(both.rate(200, 1) == Approx(0.1));
    // Time for more than there are: those of the number alone, to the last bit, however slowly it began.
    for (const int64_t n : {0, 1, 10, 500, 999}) CHECK(both.rate(n, double(n) / 1000.5) == both.rate(n));
    CHECK(both.rate(11, 0.019) == both.rate(11));
  }
}

TEST_CASE("schedules: a warm-up as long as the run or longer only rises, to the peak") {
  for (const ScheduleKind kind : {ScheduleKind::linear, ScheduleKind::cosine, ScheduleKind::polynomial,
                                  ScheduleKind::wsd, ScheduleKind::constant})
    for (const Counting counting : {Counting::split, Counting::completed, Counting::current})
      for (const int64_t warmup : {5, 6, 10}) {
        INFO(int(kind) << " " << int(counting) << " " << warmup);
        const Schedule s(make(kind, counting, warmup), 1.0, 5);
        for (int64_t n = 1; n < 5; ++n) CHECK(s.rate(n) > s.rate(n - 1));
        CHECK(s.rate(warmup) == 1);  // where a longer budget goes on
      }
}

TEST_CASE("schedules: bad arguments") {
  const Schedule s(make(ScheduleKind::linear, Counting::completed, 10), 1.0, 20);
  CHECK_THROWS_WITH(s.rate(-1), Contains("-1 completed"));
  CHECK_THROWS_WITH(Schedule(make(ScheduleKind::linear, Counting::split, 0), NAN, 5), Contains("peak rate"));
  CHECK_THROWS_WITH(Schedule(make(ScheduleKind::inverse_sqrt, Counting::split, 0), 1, 5),
                    Contains("warm-up"));
}

TEST_CASE("schedules: periods that hardly grow are those that do not") {
  const auto restarts = [](double factor) {
    ScheduleConfig c = make(ScheduleKind::cosine, Counting::completed, 0);
    c.period = 10, c.period_factor = factor, c.shrink = 0.5;
    return Schedule(c, 1, 0);
  };
  const Schedule same = restarts(1), hardly = restarts(1 + 0x1p-52), little = restarts(1 + 1e-8);
  for (int n = 0; n < 35; ++n) {
    CHECK(hardly.rate(n) == same.rate(n));
    if (n % 10 != 0) CHECK(little.rate(n) == Approx(same.rate(n)).epsilon(1e-6));
  }
}
