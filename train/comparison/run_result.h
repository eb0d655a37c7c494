// What became of one run of a comparison: read from its metrics, and kept as outcome.json once it is certain.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace train {

/// Not yet: it is to be begun, or to go on.
enum class RunStatus { open, done, failed, stopped };

struct RunResult {
  RunStatus status = RunStatus::open;
  std::optional<double> loss;  // of the last validation; never the best
  int64_t updates = 0, stopped_at = 0;
  double seconds = 0;  // of training
  std::optional<double> first_loss;
  std::vector<std::pair<int64_t, double>> curve;  // validations: update, loss
};

/// Of a run's folder, which may not exist.
RunResult read_result(const std::string& folder);
/// Keeps the status for good: the run is not begun again.
void write_outcome(const std::string& folder, RunStatus status, int64_t update);

const char* status_name(RunStatus status);

/// Mean seconds of updates 11 to 60 in a run's metrics (fewer: all but the first ten, at least one).
double seconds_per_update(const std::string& folder);

}  // namespace train
