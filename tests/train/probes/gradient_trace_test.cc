// Windows over updates, and Figure 7's ratios of one placement's gradients to another's.
#include "train/probes/gradient_trace.h"

#include <catch2/catch.hpp>
#include <map>
#include <sstream>

#include "engine/base/json.h"
#include "printed.h"
#include "shared_data.h"
#include "train/probes/gradient_run.h"

using namespace train;
using Catch::Matchers::Contains;
using engine::Json;

namespace {

GradientRecord record(int64_t step, double loss, double norm, const std::string& name = "a") {
  return {step, loss, norm, {{norm, norm, {{name, norm}}}}};
}

std::vector<GradientRecord> read_trace(const Json& steps) {
  std::vector<GradientRecord> out;
  for (const Json& step : steps) {
    GradientRecord& r = out.emplace_back();
    r.step = step["step"];
    r.loss = step["loss"];
    for (const Json& layer : step["parameters"]) {
      LayerGradient& l = r.layers.emplace_back();
      for (const auto& [name, norm] : layer.items()) l.parameters.emplace_back(name, norm.get<double>());
    }
  }
  return out;
}

}  // namespace

TEST_CASE("Figure 7's ratios are the reference's, with and without the loss") {
  const std::string path = shared_path("reference/probes/figure7.json");
  const std::string inputs_path = shared_path("reference/probes/figure7_inputs.json");
  if (path.empty() || inputs_path.empty()) return;
  const Json expected = engine::read_json(path), inputs = engine::read_json(inputs_path);
  const auto trace = read_trace(inputs["normformer"]["steps"]),
             baseline = read_trace(inputs["pre_ln"]["steps"]);
  const std::map<std::string, std::string> ops = {
      {"attn.qkv.weight", "qkv"}, {"attn.out.weight", "out"},         {"ffn.up.weight", "fc1"},
      {"ffn.down.weight", "fc2"}, {"attn.in_norm.weight", "attn_ln"}, {"ffn.in_norm.weight", "ffn_ln"}};
  for (const auto& [key, normalise] :
       {std::pair{"ratios", Normalise::loss}, std::pair{"unnormalised", Normalise::none}}) {
    INFO(key);
    const auto ratios = relative_gradients(trace, baseline, {11, 20}, normalise);
    REQUIRE(ratios.size() == expected[key].size());
    int compared = 0;
    for (size_t l = 0; l < ratios.size(); ++l)
      for (const auto& [name, ratio] : ratios[l]) {
        INFO("layer " << l << " " << name);
        if (name == "ffn.mid_norm.weight") CHECK(!ratio);  // Pre-LN has none
        if (!ops.contains(name)) continue;
        CHECK(*ratio == Approx(expected[key][l][ops.at(name)].get<double>()).epsilon(1e-12));
        ++compared;
      }
    CHECK(compared == 36);
  }
}

TEST_CASE("a window's mean is that of the norms, and its ends count") {
  const std::vector<GradientRecord> trace = {record(1, 4, 1), record(2, 2, 3), record(3, 1, 8)};
  CHECK(window_mean(trace, {2, 3})[0].w2_grad == 5.5);
  CHECK(window_mean(trace, {1, 1})[0].parameters[0].second == 1);
  const std::vector<GradientRecord> baseline = {record(2, 4, 2), record(3, 4, 2), record(4, 1, 9)};
  CHECK(*relative_gradients(trace, baseline, {2, 3}, Normalise::none)[0][0].second == 2.75);
  CHECK(*relative_gradients(trace, baseline, {2, 3}, Normalise::loss)[0][0].second == (1.5 + 8) / 1.0);
  CHECK(!relative_gradients(trace, {record(2, 1, 1, "b")}, {2, 2}, Normalise::none)[0][0].second);
  CHECK_THROWS_WITH(window_mean(trace, {2, 4}), Contains("gradients of 2 of its updates"));
  CHECK_THROWS_WITH(window_mean(trace, {3, 2}), Contains("1 <= A <= B"));
}

TEST_CASE("the curve over updates has Figure 3's layers") {
  CHECK(curve_layers(12) == std::vector<size_t>{0, 1, 6, 10, 11});
  CHECK(curve_layers(4) == std::vector<size_t>{0, 1, 2, 3});
  CHECK(curve_layers(2) == std::vector<size_t>{0, 1});
  CHECK(curve_layers(1) == std::vector<size_t>{0});
}

TEST_CASE("the table of a run has the curve over the window, of a long one twenty updates") {
  GradientRun run{.placement = "pre_ln", .seed = 1, .layers = 1};
  for (int64_t step = 1; step <= 100; ++step) run.trace.push_back(record(step, 4, double(step) / 8));
  const auto rows = [&](UpdateWindow window) {
    const GradientQuestion question{.window = window};
    const std::string table = printed(
        [&](FILE* to) { print_gradient_run(run, question, gradient_run_json(run, question, nullptr), to); });
    INFO(table);
    std::istringstream lines(table.substr(table.find("w2_grad by update")));
    std::string line;
    std::getline(lines, line), std::getline(lines, line);
    CHECK_THAT(line, Contains("update") && Contains("layer 0"));
    std::vector<std::pair<int64_t, double>> out;
    int64_t step;
    for (double value; lines >> step >> value;) out.emplace_back(step, value);
    return out;
  };
  CHECK(rows({3, 5}) == std::vector<std::pair<int64_t, double>>{{3, 0.375}, {4, 0.5}, {5, 0.625}});
  const auto longer = rows({1, 100});
  REQUIRE(longer.size() == 20);
  CHECK(longer.front() == std::pair<int64_t, double>{1, 0.125});
  CHECK(longer.back() == std::pair<int64_t, double>{100, 12.5});
}
