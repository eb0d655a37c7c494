// All runs of `normlab finetune`: each learning rate with each seed, in RUN/lr-1e-05-seed-1 and so on, and what
// they show together. RUN/plan.json has what was asked, RUN/finetune.json what was found.
// Read first: fine_tune_run.h.
#pragma once

#include <string>
#include <vector>

#include "train/finetune/fine_tune_run.h"

namespace train {

struct SweepRun {
  double lr = 0;
  int64_t seed = 1;
  std::string name() const { return run_name(lr, seed); }
  /// result.json of the run in the sweep's `folder`; null while it is not finished.
  engine::Json result(const std::string& folder) const {
    return finished_result(folder + "/" + name(), lr, seed);
  }
};

/// In the order of rates and, within one, of seeds. Error: two of them would have the same folder.
std::vector<SweepRun> runs_of(const FineTuneRequest& request);

/// The request as plan.json in `folder`, with "contents": what tells the rows and the weights that it was
/// begun with. The folder must be empty or, with `resume`, hold the same. Error: another one, with the key
/// that differs; the folder holds a model or another kind of run.
void write_plan(const FineTuneSetup& setup, const std::string& folder, bool resume);

/// result.json of every run, in order; for those without one "stopped", or "failed" with the error of `died`,
/// the names of runs whose process ended without a result: --resume begins them again.
engine::Json sweep_results(const FineTuneRequest& request, const std::string& folder,
                           const std::vector<std::string>& died = {});

/// {"best_lr", "at_best_lr"}: the rate with the best mean over the seeds, where a run that failed or has no value
/// counts as the worst value seen, and what the finished runs at that rate have. null while a run is open.
engine::Json sweep_summary(const FineTuneRequest& request, const engine::Json& results);

/// The run at the best rate with the best value; "" where there is none.
std::string best_run(const engine::Json& results, const engine::Json& summary);

}  // namespace train
