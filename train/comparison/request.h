// What `normlab compare` is asked: placements that differ in nothing but their norms (and what follows from
// those), trained on the same rows in the same order, seed by seed. Read first: config.h. Then: comparison.h.
#pragma once

#include <string>
#include <vector>

#include "train/config.h"

namespace train {

enum class Match { steps, time };

struct CompareRequest {
  std::vector<std::string> placements;  // presets or NormSpec texts
  std::string baseline;                 // one of them
  TrainConfig config;                   // what all runs share
  int64_t seeds = 1;                    // of the claim: 1 … seeds
  Match match = Match::steps;
  std::string same_init;  // one rule of initial values for all; "": each placement's own
  // The sweep of learning rates; without rates all use optim.lr.
  std::vector<double> rates;
  std::vector<int64_t> rate_seeds;
  bool extend = false;  // beyond the grid's edges while the best is there
  bool stop = true;     // hopeless runs
  double stop_margin = 0.1;

  /// The budget in updates, the least of those set; check_request fills it in. 0: it has seconds only, and
  /// how many updates the baseline makes in them is measured.
  int64_t steps = 0;
  /// {"train", "valid"}: fingerprints of the rows; check_request fills it in.
  engine::Json contents = {};
};

/// Checks the request, opens its data and resolves the budget. Errors: fewer than two placements (unless
/// rates are swept), one twice, two rates that differ in nothing that the folders' names show, no validation
/// data, early stopping, a budget in seconds where updates are matched, and what each run would be refused
/// for.
void check_request(CompareRequest& request);

/// Everything that a comparison is: one that goes on must have the same.
engine::Json to_json(const CompareRequest& request);
/// The path of the first key that differs, or "".
std::string first_difference(const engine::Json& a, const engine::Json& b, const std::string& path = "");
/// The same of the objects that a plan has and that is asked for now; "contents" is left out where a plan of
/// an older version has none.
std::string changed_key(const engine::Json& before, engine::Json now);

/// One training run.
struct ComparedRun {
  std::string placement;
  double lr = 0;
  int64_t seed = 1, steps = 0;
  bool sweep = false;

  bool operator==(const ComparedRun&) const = default;
  /// Its folder below the comparison's: runs/PLACEMENT/lr-0.001/seed-1.
  std::string folder() const;
};

/// The full config of a run.
TrainConfig config_of(const CompareRequest& request, const ComparedRun& run);

/// A placement as a name of a folder: letters and digits, and a check sum where others had to go.
std::string folder_name(const std::string& placement);

}  // namespace train
