// A comparison at work: the sweep of learning rates, then the runs of the claim, as processes of `normlab
// train`. Everything it knows lies in its folder, so it goes on after a kill at any moment:
//
//   plan.json            what was asked, and every run with its full config
//   configs/, runs/      a config and a run directory for each run; outcome.json says how it ended
//   updates.json         with Match::time: budgets that were measured
//   compare.json, report.html
//
// Read first: request.h, run_result.h, processes.h. Then: analysis.h.
#pragma once

#include <map>
#include <optional>

#include "train/checkpoint/run_dir.h"
#include "train/comparison/request.h"
#include "train/comparison/run_result.h"

namespace train {

/// How the work is done. Results do not depend on it.
struct CompareWork {
  std::string out;
  int64_t jobs = 1, threads = 1;  // threads: of all processes together
  std::vector<std::string>
      devices;  // GPUs by their numbers, a run at a time on each; the config's device is theirs
  bool resume = false;
};

/// A run of the sweep, or of the claim, and what became of it.
struct FinishedRun {
  ComparedRun run;
  RunResult result;
};

class Comparison {
 public:
  /// Locks the folder and writes the plan. Error: it holds a comparison already (without resume), another
  /// one, or something else.
  Comparison(const CompareRequest& request, const CompareWork& work);

  /// False: stopped by a signal.
  bool run();

  const CompareRequest& request() const { return request_; }
  const std::vector<FinishedRun>& sweep() const { return sweep_; }
  const std::vector<FinishedRun>& claim() const { return claim_; }
  /// The rate of a placement's claim, and whether it lies at an edge of the grid.
  double rate_of(const std::string& placement) const { return rates_.at(placement); }
  bool at_edge(const std::string& placement) const;
  std::string path(const ComparedRun& run) const { return work_.out + "/" + run.folder(); }

 private:
  bool train(const std::vector<ComparedRun>& runs, int64_t until);
  std::vector<std::string> slots(int64_t most) const;
  bool sweep_points(const std::vector<std::pair<std::string, double>>& points);
  void stop_hopeless(const std::vector<ComparedRun>& runs, int64_t until);
  bool tune();
  std::vector<double> grid_of(const std::string& placement) const;
  double sweep_loss(const std::string& placement, double lr) const;
  bool train_claim();
  bool budget_in_updates();
  bool equal_time();
  std::optional<int64_t> updates_in(double seconds, const std::string& placement);
  void write_plan() const;
  std::vector<ComparedRun> claim_runs(const std::string& placement) const;

  CompareRequest request_;
  CompareWork work_;
  RunDir lock_;
  std::map<std::string, double> rates_;
  bool rates_known_;                        // the sweep is over, if there is one
  std::map<std::string, int64_t> updates_;  // of the others, with Match::time, once they are known
  std::vector<FinishedRun> sweep_, claim_;
};

}  // namespace train
