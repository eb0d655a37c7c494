// What a checkpoint holds besides the model: counters, moments, loss scaler, data position;
// and the thread that writes checkpoints while training goes on. Read first: checkpoint_dir.h, optimizer.h.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "data/batches.h"
#include "models/model_files.h"
#include "train/loss_scaler.h"
#include "train/optimizer.h"
#include "train/shards.h"

namespace train {

/// Everything that counts, as JSON in training.json.
struct RunCounters {
  int64_t step = 0;     // attempted updates (skipped ones included): the step of metrics and checkpoints
  int64_t applied = 0;  // updates that the optimizer made: what the schedule counts
  int64_t tokens = 0;   // tokens seen
  double seconds = 0;   // spent training
  std::optional<double> best_loss, last_loss;  // validation
  int64_t validated_at = 0;                    // the step of last_loss
  int64_t evaluations_without_gain = 0;
};

struct TrainingState {
  RunCounters counters;
  data::BatchPosition position;
  engine::Tensor average;  // exponential moving average of this rank's values; undefined without EMA
  engine::Json
      settings;  // resume.h: the config of the run, as a resume compares it; null in older checkpoints
};

/// Copies of all that a checkpoint will hold, so that training may go on while they are written.
struct Snapshot {
  models::ModelConfig config;
  engine::NamedTensors weights, optimizer;
  std::string training_json;
  std::string tokenizer_json;
  std::string run;
  int64_t step = 0;
  std::optional<double> valid_loss;  // of these very weights; absent when they were not validated
};

/// training.json: what of a state is numbers, and back.
engine::Json training_json(const TrainingState& state, const LossScaler* scaler);
void read_training_json(const engine::Json& json, const std::string& path, TrainingState& state,
                        LossScaler* scaler);

/// The processor level whose kernels do the work, and how they multiply bf16: what the last bits of a result
/// depend on. A checkpoint has it in training.json, a run in its first line of metrics.
std::string kernels_in_use();

/// All ranks take part; rank 0's is the snapshot, that of one rank whatever the number of ranks.
Snapshot take_snapshot(const models::Transformer& model, const Optimizer& optimizer,
                       const TrainingState& state, const LossScaler* scaler, const Shards& shards,
                       const std::string& tokenizer_json, const std::string& run);

/// Writes the folder of a snapshot; returns it.
std::string write_snapshot(const Snapshot& snapshot, int64_t keep, int64_t keep_best);

/// Restores everything from a checkpoint folder, which rank 0 alone reads; the others give "". Values must be
/// whole. Weights that were saved as an average are trained on from the raw ones beside it, whether or not
/// the run still averages. Errors name the file.
void restore_checkpoint(const std::string& folder, models::Transformer& model, Optimizer& optimizer,
                        TrainingState& state, LossScaler* scaler, const Shards& shards);

/// Writes snapshots on a thread of its own, one at a time. A write that fails (a full disk) is no reason to
/// stop training: the caller says it, and the next checkpoint is another attempt.
class CheckpointQueue {
 public:
  ~CheckpointQueue();
  /// Waits until no snapshot is being written: before the next one is taken, so that memory never holds two.
  void wait();
  /// Returns while `snapshot` is being written; nothing else may be.
  void write(Snapshot snapshot, int64_t keep, int64_t keep_best);
  /// What went wrong with the last snapshot, once; empty: nothing so far.
  std::string take_error();

 private:
  std::thread thread_;
  std::mutex mutex_;  // of error_
  std::string error_;
};

}  // namespace train
