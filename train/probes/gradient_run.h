// One run of `probe gradients`: the gradients of its updates, and what is asked of them. Read first:
// gradient_trace.h, probe_report.h.
//
// Of every update are kept the sums that the window's means are made of; whole are those that are asked for,
// and so many others, evenly spread, that a run of any length has its curves in bounded memory.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "train/config.h"
#include "train/probes/gradient_trace.h"

namespace train {

struct GradientQuestion {
  UpdateWindow window;
  std::vector<int64_t> at;  // updates
  Normalise normalise = Normalise::none;
};

class GradientRun {
 public:
  /// Of `updates` updates.
  GradientRun(const std::string& placement, int64_t seed, int64_t updates, const GradientQuestion& question);
  void add(const GradientRecord& record);

  const std::string& placement() const { return placement_; }
  int64_t seed() const { return seed_; }
  const GradientQuestion& question() const { return question_; }
  const WindowMean& window() const { return window_; }
  /// The updates that are kept whole, in order: each `every`-th from the first on, the last one, those of
  /// the question, and those of the table's curve.
  const std::vector<GradientRecord>& trace() const { return trace_; }
  int64_t every() const { return every_; }
  /// Error: that update is not kept.
  const GradientRecord& at(int64_t step) const;

 private:
  std::string placement_;
  int64_t seed_, updates_, every_ = 1;
  GradientQuestion question_;
  WindowMean window_;
  std::vector<GradientRecord> trace_;
};

/// The updates of a window whose curve the table shows: all, or of a long one twenty, evenly spread.
std::vector<int64_t> curve_updates(UpdateWindow window);

/// Trains for the config's budget.steps, and has each update shown to `each`; Interrupted and Failure are as
/// in watched_training.h.
GradientRun train_for_gradients(TrainConfig config, const std::string& placement,
                                const GradientQuestion& question,
                                const std::function<void(const GradientRecord&)>& each = {});

/// The layers that Figure 3 of NormFormer draws, of twelve 0, 1, 6, 10 and 11.
std::vector<size_t> curve_layers(size_t layers);

/// `baseline`: the run of the same seed that it is to be compared with; null: none.
engine::Json gradient_run_json(const GradientRun& run, const GradientRun* baseline);
/// `json`: of the same run.
void print_gradient_run(const GradientRun& run, const engine::Json& json, FILE* to = stdout);
/// One update as a line of JSON.
std::string gradient_line(const std::string& placement, int64_t seed, const GradientRecord& record);

}  // namespace train
