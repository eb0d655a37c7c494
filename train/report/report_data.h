// What a report shows of one run, read from its folder: curves, per-layer records, learned gains, final
// numbers, config, sample. Plain data, and the JSON that the page's charts draw. report.h makes the page of
// it.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/json.h"

namespace train {

struct RunReport {
  std::string name;                           // the folder's name
  std::string norms;                          // placement, as the config has it
  std::map<std::string, std::string> config;  // path -> printed value
  std::vector<std::pair<std::string, std::string>>
      numbers;                 // label -> printed value, the row of the final table
  double best_valid_loss = 0;  // infinity without a validation
  engine::Json
      curves;  // {"train": {column: [...]}, "valid": …, "layers": {name: panel}, "gains": {name: panel},
               // "samples": [[step, text]], "lr": peak rate, "best": best loss}
  std::string sample;     // sample.txt, cut after 64 KiB
  std::string failure;    // failure.txt: why a run died; empty: it did not
  std::string placement;  // an SVG of its norms; empty where the config has no model
};

/// Reads RUN/metrics.jsonl and, where they are there, RUN/config.json, RUN/sample.txt and RUN/failure.txt. Long runs are
/// thinned: a point is then the mean of several lines.
RunReport read_run(const std::string& path);

/// Tells runs of the same name apart by their paths.
void name_runs(std::vector<RunReport>& runs, const std::vector<std::string>& paths);

}  // namespace train
