// GLUE's metrics against values of scikit-learn and SciPy, edge cases among them.
#include "train/evaluation/class_metrics.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "engine/base/json.h"
#include "shared_data.h"

using namespace train;
using engine::Json;

namespace {

std::vector<double> numbers(const Json& list) {
  std::vector<double> out;
  for (const Json& x : list) out.push_back(x.is_null() ? NAN : x.get<double>());
  return out;
}

void check_value(const Json& expected, std::optional<double> ours) {
  if (!expected.is_number()) {  // null, or the name of the error that a library raised
    CHECK(!ours);
    return;
  }
  REQUIRE(ours);
  CHECK(std::fabs(*ours - expected.get<double>()) < 1e-12);
}

}  // namespace

TEST_CASE("metrics are those of scikit-learn and SciPy") {
  const std::string path = shared_path("reference/glue/metric_units.json");
  if (path.empty()) return;
  const Json reference = engine::read_json(path);
  int cases = 0;
  for (const char* kind : {"binary", "multiclass"})
    for (const auto& [name, unit] : reference[kind].items()) {
      INFO(name);
      const auto y = unit["y"].get<std::vector<int>>(), p = unit["p"].get<std::vector<int>>();
      check_value(unit["accuracy"], accuracy(y, p));
      check_value(unit["matthews"], matthews(y, p));
      if (unit.contains("f1")) check_value(unit["f1"], f1(y, p));
      ++cases;
    }
  for (const auto& [name, unit] : reference["correlation"].items()) {
    INFO(name);
    check_value(unit["pearson"], pearson(numbers(unit["y"]), numbers(unit["p"])));
    check_value(unit["spearman"], spearman(numbers(unit["y"]), numbers(unit["p"])));
    ++cases;
  }
  CHECK(cases > 20);
}

TEST_CASE("metrics by hand") {
  const std::vector<int> y = {1, 1, 0, 0}, p = {1, 0, 0, 0};
  CHECK(accuracy(y, p) == 0.75);
  CHECK(f1(y, p) == Approx(2.0 / 3));
  CHECK(matthews(y, p) == Approx((1 * 2 - 0 * 1) / std::sqrt(1.0 * 2 * 2 * 3)));
  CHECK(matthews(y, std::vector<int>(4, 1)) == 0);
  CHECK(f1(std::vector<int>(4, 0), std::vector<int>(4, 0)) == 0);
  const std::vector<double> line = {1, 2, 3}, curve = {1, 10, 100}, flat = {5, 5, 5}, hole = {1, NAN, 3};
  CHECK(*spearman(line, curve) == Approx(1));
  CHECK(*pearson(line, curve) < 1);
  CHECK(!pearson(line, flat));
  CHECK(!spearman(flat, line));
  CHECK(!pearson(line, hole));
  CHECK(!spearman(hole, line));
  CHECK(!pearson(std::vector<double>{1}, std::vector<double>{2}));
  // A side so small that the product of the sums of squares underflows.
  CHECK(*pearson(line, std::vector<double>{1e-120, 2e-120, 3e-120}) == Approx(1));
}
