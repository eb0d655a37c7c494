// Means, paired t, Holm, sign flips and Welch against values of SciPy, and by hand where the collection with
// those is absent.
#include "train/evaluation/statistics.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/base/json.h"
#include "shared_data.h"

using namespace train;
using engine::Json;

namespace {

// As many digits as the contract asks for, of the number itself however small it is; 0 and 1 exactly. Null
// and none are the same, and a NaN is neither.
void check_number(const Json& row, const std::string& key, Number ours, double limit) {
  INFO(key);
  if (!row.contains(key) || row[key].is_null()) {
    CHECK(!ours);
    return;
  }
  REQUIRE(ours);
  const double expected = row[key].get<double>();
  if (expected == 0 || expected == 1)
    CHECK(*ours == expected);
  else
    CHECK(*ours == Approx(expected).epsilon(limit).margin(0));
}

}  // namespace

TEST_CASE("statistics of runs are those of SciPy") {
  const std::string path = shared_path("reference/compare/statistics.json");
  if (path.empty()) return;
  const Json reference = engine::read_json(path);
  for (const auto& [name, group] : reference["cases"].items()) {
    INFO(name);
    std::vector<double> baseline;
    for (const Json& row : group["rows"])
      if (row["placement"] == group["baseline"]) baseline = row["losses"].get<std::vector<double>>();
    std::vector<Number> p;
    for (const Json& row : group["rows"])
      if (row.contains("difference"))
        p.push_back(paired_difference(row["losses"].get<std::vector<double>>(), baseline).p);
    const std::vector<Number> adjusted = holm(p);
    size_t at = 0;
    for (const Json& row : group["rows"]) {
      INFO(row["placement"]);
      const auto losses = row["losses"].get<std::vector<double>>();
      const Mean mean = mean_of(losses);
      CHECK(mean.mean == Approx(row["mean"].get<double>()).epsilon(1e-12));
      check_number(row, "sd", mean.sd, 1e-9);
      check_number(row, "se", mean.se, 1e-9);
      check_number(row, "mean_ppl", std::exp(mean.mean), 1e-9);
      if (!row.contains("difference")) continue;
      const Json& expected = row["difference"];
      const PairedDifference d = paired_difference(losses, baseline);
      CHECK(d.values == expected["values"].get<std::vector<double>>());
      check_number(expected, "mean", d.mean.mean, 1e-9);
      check_number(expected, "sd", d.mean.sd, 1e-9);
      check_number(expected, "se", d.mean.se, 1e-9);
      check_number(expected, "t", d.t, 1e-9);
      if (expected.contains("df")) CHECK(expected["df"] == d.mean.n - 1);
      check_number(expected, "p", d.p, 1e-7);
      check_number(expected, "sign_flip_p", d.sign_flip_p, 1e-12);
      check_number(expected, "welch_p", d.welch_p, 1e-7);
      check_number(expected, "p_holm", adjusted[at++], 1e-7);
      if (expected.contains("ci95")) {
        CHECK(*d.ci_low == Approx(expected["ci95"][0].get<double>()).epsilon(1e-9));
        CHECK(*d.ci_high == Approx(expected["ci95"][1].get<double>()).epsilon(1e-9));
      }
    }
  }
  // The t test of a mean against a fixed loss.
  const Json& rule = reference["target_rule"];
  const Mean mean = mean_of(rule["losses"].get<std::vector<double>>());
  const double below = rule["target"].get<double>() - mean.mean;
  check_number(rule, "statistic", below * std::sqrt(double(mean.n)), 1e-9);
  check_number(rule, "one_sided_t_p", student_p(below / *mean.se, double(mean.n - 1)) / 2, 1e-7);
  for (const auto& [df, quantile] : reference["t_quantiles_975"].items()) {
    INFO("df " << df);
    CHECK(student_t(0.05, std::stod(df)) == Approx(quantile.get<double>()).epsilon(1e-9));
  }
  for (const Json& row : reference["t_two_sided_p"]) {
    INFO(row);
    CHECK(student_p(row["t"].get<double>(), row["df"].get<double>()) ==
          Approx(row["p"].get<double>()).epsilon(1e-7));
  }
}

TEST_CASE("Student's t has a closed form at one and two degrees of freedom") {
  for (const double t : {0.0, 0.1, 1.0, 3.0, 1e3, -2.0}) {
    CHECK(student_p(t, 1) == Approx(1 - 2 / M_PI * std::atan(std::fabs(t))).epsilon(1e-10));
    CHECK(student_p(t, 2) == Approx(1 - std::fabs(t) / std::sqrt(2 + t * t)).epsilon(1e-9));
  }
  CHECK(student_t(0.05, 1) == Approx(std::tan(M_PI * 0.475)).epsilon(1e-10));
}

TEST_CASE("a paired difference has no t where all differences are equal, up to rounding too") {
  // 0.1 is not a binary fraction: these differences are equal on paper, not in the machine.
  const std::vector<double> a = {2.4, 2.5, 2.6, 2.7}, b = {2.5, 2.6, 2.7, 2.8};
  const PairedDifference d = paired_difference(a, b);
  CHECK(!d.t);
  CHECK(!d.p);
  CHECK(*d.ci_low == Approx(-0.1));
  CHECK(*d.ci_high == Approx(-0.1));
  CHECK(*d.sign_flip_p == 0.125);
  const PairedDifference one = paired_difference(std::vector<double>{1.0}, std::vector<double>{2.0});
  CHECK((!one.mean.se && !one.t && !one.p && !one.ci_low && !one.sign_flip_p));
}

TEST_CASE("Holm's p values rise with the rank and never pass 1") {
  const std::vector<Number> p = {0.04, {}, 0.01, 0.03, 0.9};
  const std::vector<Number> h = holm(p);
  CHECK(*h[2] == Approx(0.04));
  CHECK(*h[3] == Approx(0.09));
  CHECK(*h[0] == Approx(0.09));  // 0.08 by itself: not below the one before it
  CHECK(*h[4] == Approx(0.9));
  CHECK(!h[1]);
}
