// A run directory: config.json (fully resolved), metrics.jsonl, checkpoints/ (checkpoint_dir.h), TensorBoard
// event files, sample.txt, report.html. One process at a time writes to it.
#pragma once

#include <string>

#include "engine/base/json.h"

namespace train {

enum class RunStart {
  fresh,   // the folder must hold no run
  resume,  // go on with the run that it holds; an empty folder begins one
};

class RunDir {
 public:
  /// Creates the folder where needed and locks it until the process ends; an error when another process holds
  /// it.
  RunDir(const std::string& path, RunStart start);
  ~RunDir();
  RunDir(const RunDir&) = delete;
  RunDir& operator=(const RunDir&) = delete;

  const std::string& path() const { return path_; }
  std::string config_path() const { return path_ + "/config.json"; }
  std::string metrics_path() const { return path_ + "/metrics.jsonl"; }
  /// Whether a config or a checkpoint is there, that is, whether there is something to resume.
  bool holds_run() const;
  /// The errors of the constructor, without creating or locking anything.
  static void check_free(const std::string& path, RunStart start);
  /// Whether a process holds the folder at `path`.
  static bool in_use(const std::string& path);
  void write_config(const engine::Json& config) const;

 private:
  std::string path_;
  int lock_ = -1;
};

}  // namespace train
