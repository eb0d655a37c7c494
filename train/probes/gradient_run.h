// One run of `probe gradients`: the gradients of all its updates, and what is asked of them. Read first:
// gradient_trace.h, probe_report.h.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "train/config.h"
#include "train/probes/gradient_trace.h"

namespace train {

struct GradientRun {
  std::string placement;
  int64_t seed = 1, layers = 0;
  std::vector<GradientRecord> trace;
};

struct GradientQuestion {
  UpdateWindow window;
  std::vector<int64_t> at;  // updates
  Normalise normalise = Normalise::none;
};

/// Trains; Interrupted and Failure are as in watched_training.h.
GradientRun train_for_gradients(TrainConfig config, const std::string& placement);

/// The layers that Figure 3 of NormFormer draws, of twelve 0, 1, 6, 10 and 11.
std::vector<size_t> curve_layers(size_t layers);

/// `baseline`: the run of the same seed that it is to be compared with; null: none.
engine::Json gradient_run_json(const GradientRun& run, const GradientQuestion& question,
                               const GradientRun* baseline);
/// `json`: of the same run.
void print_gradient_run(const GradientRun& run, const GradientQuestion& question, const engine::Json& json,
                        FILE* to = stdout);

}  // namespace train
