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

WindowMean window_of(const std::vector<GradientRecord>& trace, UpdateWindow window) {
  WindowMean out(window);
  for (const GradientRecord& r : trace) out.add(r);
  return out;
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
    const auto ratios =
        relative_gradients(window_of(trace, {11, 20}), window_of(baseline, {11, 20}), normalise);
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
  CHECK(window_of(trace, {2, 3}).mean()[0].w2_grad == 5.5);
  CHECK(window_of(trace, {1, 1}).mean()[0].parameters[0].second == 1);
  const std::vector<GradientRecord> baseline = {record(2, 4, 2), record(3, 4, 2), record(4, 1, 9)};
  const auto ratio = [&](const std::vector<GradientRecord>& other, UpdateWindow window, Normalise normalise) {
    return relative_gradients(window_of(trace, window), window_of(other, window), normalise)[0][0].second;
  };
  CHECK(*ratio(baseline, {2, 3}, Normalise::none) == 2.75);
  CHECK(*ratio(baseline, {2, 3}, Normalise::loss) == (1.5 + 8) / 1.0);
  CHECK(!ratio({record(2, 1, 1, "b")}, {2, 2}, Normalise::none));
  CHECK_THROWS_WITH(window_of(trace, {2, 4}).mean(), Contains("gradients of 2 of its updates"));
  CHECK_THROWS_WITH(WindowMean({3, 2}), Contains("1 <= A <= B"));
}

TEST_CASE("the curve over updates has Figure 3's layers") {
  CHECK(curve_layers(12) == std::vector<size_t>{0, 1, 6, 10, 11});
  CHECK(curve_layers(4) == std::vector<size_t>{0, 1, 2, 3});
  CHECK(curve_layers(2) == std::vector<size_t>{0, 1});
  CHECK(curve_layers(1) == std::vector<size_t>{0});
}

TEST_CASE("the table of a run has the curve over the window, of a long one twenty updates") {
  const auto rows = [&](UpdateWindow window) {
    GradientRun run("pre_ln", 1, 100, {.window = window});
    for (int64_t step = 1; step <= 100; ++step) run.add(record(step, 4, double(step) / 8));
    const std::string table =
        printed([&](FILE* to) { print_gradient_run(run, gradient_run_json(run, nullptr), to); });
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

TEST_CASE("a long run keeps the updates that are asked for, and of the others as many as memory is to hold") {
  constexpr int64_t kUpdates = 30'000;
  GradientRun run("pre_ln", 1, kUpdates, {.window = {7, 20'006}, .at = {12'345}});
  GradientRecord r = record(1, 2, 1);
  r.layers.resize(12, r.layers[0]);
  for (auto& l : r.layers) l.parameters.resize(16, l.parameters[0]);
  for (r.step = 1; r.step <= kUpdates; ++r.step) {
    for (auto& l : r.layers) l.w2_grad = double(r.step);
    run.add(r);
  }
  CHECK(run.every() > 10);
  CHECK(run.trace().size() > 1000);
  CHECK(run.trace().size() < 1400);  // of 218 numbers each
  CHECK(run.at(12'345).layers[11].w2_grad == 12'345);
  CHECK(run.trace().front().step == 1);
  CHECK(run.trace()[1].step == 7);  // the first of the window's curve
  CHECK(run.trace().back().step == kUpdates);
  CHECK(run.window().mean()[3].w2_grad == Approx((7 + 20'006) / 2.0));
  CHECK_THROWS_WITH(run.at(12'346), Contains("update 12346"));
  const Json json = gradient_run_json(run, nullptr);
  CHECK(json["every"] == run.every());
  CHECK(json["updates"].size() == run.trace().size());
  CHECK(json["at"][0]["w2_grad"][0] == 12'345);
}
