// What a comparison found: paired statistics, verdicts that they allow, JSON and the table. Read first:
// comparison.h, evaluation/statistics.h.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/json.h"
#include "train/comparison/comparison.h"

namespace train {

/// compare.json: "placements" with runs, means, differences and verdicts; "results", the same in short;
/// "sweep", "lr_sensitivity", "edge". `threads`, `seconds`: of the work; "model" is what all runs start from,
/// if anything.
engine::Json comparison_json(const Comparison& comparison, int64_t threads, double seconds);
void print_comparison(const engine::Json& result);
/// The table as HTML, and the numbers that the page's script draws.
std::string comparison_html(const Comparison& comparison, const engine::Json& result);

/// "better", "worse" or "no difference shown", in words: only a Holm-corrected p below 0.05 of at least three
/// seeds tells.
std::string verdict_of(double mean_difference, std::optional<double> p_holm, int64_t seeds);

/// The update at which a curve first reaches `target`, interpolated between its points; nothing if never.
std::optional<double> first_reach(const std::vector<std::pair<int64_t, double>>& curve, double target);

}  // namespace train
