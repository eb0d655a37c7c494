// The training loop: micro-batches, one optimizer factor, schedule, loss scaling, validation, checkpoints,
// metrics.
//
// One update: for each micro-batch, forward, sum of losses, backward into the gradient arena; then one factor
// for all gradients (1 / loss scale / scored tokens, clipping), the gradient norm as overflow test, the
// optimizer. k micro-batches therefore equal one batch. Read first: config.h, optimizer.h, run_data.h. Then:
// training_state.h.
#pragma once

#include <memory>
#include <optional>

#include "engine/comm/communicator.h"
#include "train/layer_statistics.h"
#include "train/loss_scaler.h"
#include "train/metrics.h"
#include "train/optimizer.h"
#include "train/progress.h"
#include "train/run_data.h"
#include "train/run_dir.h"
#include "train/schedule.h"
#include "train/tensorboard.h"
#include "train/training_state.h"

namespace train {

/// How a run ended.
enum class RunEnd { finished, stopped_early, interrupted };

class Trainer {
 public:
  /// Builds the model, opens the data, restores the newest intact checkpoint when the run directory holds
  /// one.
  Trainer(const TrainConfig& config, const models::ModelConfig& model_config, RunDir& run);
  ~Trainer();

  /// Trains until a budget is spent, validation stops improving, or a signal arrives. A checkpoint is written
  /// at the end in each case. Throws TrainingFailure when the numbers are beyond repair.
  RunEnd run();

  const models::Transformer& model() const { return *model_; }
  const RunCounters& counters() const { return state_.counters; }

 private:
  struct UpdateResult {
    double loss = 0;  // nats a scored token
    double norm = 0;  // of the mean gradient, before clipping
    double lr = 0;
    bool applied = false;
  };

  void restore();
  UpdateResult update();
  double accumulate_gradients(int64_t& scored);
  double micro_batch(const data::Batch& batch, nn::Probe* probe);
  [[noreturn]] void report_bad_update(double norm);
  void validate();
  void save_checkpoint();
  void log_update(const UpdateResult& result);
  engine::Json constants() const;
  double done() const;
  bool spent() const { return done() >= 1; }
  double learning_rate() const;
  int64_t planned_steps() const;

  TrainConfig config_;
  RunDir& run_;
  std::unique_ptr<engine::Communicator> communicator_ = engine::solo_communicator();
  std::unique_ptr<models::Transformer> model_;
  RunData data_;
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<LossScaler> scaler_;
  std::unique_ptr<Schedule> schedule_;
  TrainingState state_;
  CheckpointQueue checkpoints_;
  std::unique_ptr<MetricsLog> metrics_;
  std::unique_ptr<EventWriter> tensorboard_;
  std::unique_ptr<LayerStatistics> statistics_;
  Progress progress_;
  std::vector<data::Batch> batches_;  // of the update that is being made, for diagnosis
  double session_start_ = 0, done_at_start_ = 0, last_log_time_ = 0, last_checkpoint_time_ = 0,
         flops_per_token_ = 0, peak_flops_ = 0;
  int64_t last_log_tokens_ = 0;
};

/// Training cannot go on: the loss is not finite, or the loss scale reached its minimum. Exit code 1.
struct TrainingFailure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace train
