// What tests of `normlab compare` share: a tiny job, and its results.
#pragma once

#include <string>

#include "../training_support.h"
#include "engine/base/file.h"
#include "run_program.h"

namespace train {

struct CompareJob : Job {
  CompareJob() {
    config["log"]["every"] = 4;
    engine::write_file(folder / "config.json", config.dump());
  }
  std::string arguments(const std::string& name, const std::string& rest) const {
    return "compare --config " + (folder / "config.json") + " --out " + (folder / name) + " " + rest;
  }
  Json result(const std::string& name) const { return engine::read_json(folder / (name + "/compare.json")); }
  Json plan(const std::string& name) const { return engine::read_json(folder / (name + "/plan.json")); }
};

/// What does not depend on time.
inline Json without_times(Json result) {
  for (const char* key : {"environment", "version", "seconds"}) result.erase(key);
  for (Json& row : result["placements"]) {
    row.erase("seconds_per_update");
    for (Json& run : row["runs"]) run.erase("seconds"), run.erase("path");
  }
  return result;
}

}  // namespace train
