// The training loop: micro-batches, one optimizer factor, schedule, loss scaling, validation, checkpoints,
// metrics.
//
// What one update is stands in update.h. On several ranks each has a trainer; all of them take the same
// decisions, because each is a function of numbers that they have agreed on, and rank 0 alone touches the run
// directory and speaks. Read first: config.h, update.h, run_data.h. Then: training_state.h.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "data/prefetch.h"
#include "train/checkpoint/run_dir.h"
#include "train/checkpoint/training_state.h"
#include "train/layer_statistics.h"
#include "train/loss_scaler.h"
#include "train/metrics.h"
#include "train/optimizer.h"
#include "train/progress.h"
#include "train/run_data.h"
#include "train/schedule.h"
#include "train/tensorboard.h"
#include "train/update.h"

namespace train {

/// An update before the optimizer makes it.
struct UpdateView {
  int64_t step = 0;           // from 1
  double loss = 0, norm = 0;  // nats a scored token; of the mean gradient, before clipping
  double lr = 0;
  /// Makes the gradients in the model's arena those of the mean loss, without the auxiliary losses of
  /// routers.
  double factor = 1;
  const models::Transformer& model;
};
/// False ends the run without the update.
using UpdateWatch = std::function<bool(const UpdateView&)>;

/// The number formats and the device of a run.
nn::Precision precision_of(const TrainConfig& config);

/// How a run ended.
enum class RunEnd { finished, stopped_early, interrupted };

class Trainer {
 public:
  /// Builds the model, opens the data, restores the newest intact checkpoint when the run directory holds
  /// one.
  Trainer(const TrainConfig& config, const models::ModelConfig& model_config, RunDir& run);
  /// One rank of several; `run` is null but on rank 0. The communicator must outlive the trainer.
  Trainer(const TrainConfig& config, const models::ModelConfig& model_config, RunDir* run,
          engine::Communicator& communicator);
  ~Trainer();

  /// Trains until a budget is spent, validation stops improving, or a signal arrives. A checkpoint is written
  /// at the end in each case. Throws Failure when the numbers are beyond repair: the loss is not finite, or
  /// the loss scale reached its minimum. What a run died of is kept as RUN/failure.txt, until it goes on.
  RunEnd run();
  /// Has each update shown to `watch`, also one whose numbers are beyond repair. It must answer the same on
  /// every rank. Where routers have losses of their own, the mean loss is differentiated once more by itself.
  /// Such a run is looked at, not kept: it ends without a checkpoint.
  void watch(UpdateWatch watch);

  const models::Transformer& model() const { return *model_; }
  const RunCounters& counters() const { return state_.counters; }

 private:
  struct UpdateResult {
    double loss = 0;  // nats a scored token
    double norm = 0;  // of the mean gradient, before clipping
    double lr = 0;
    bool applied = false;
    bool scored = true;  // any position; without one there is nothing to learn from
  };

  bool leads() const { return communicator_.rank() == 0; }
  RunEnd run_to_end();
  void restore();
  /// Those of `from`, or initial values.
  void set_first_weights();
  void say_changes();
  void set_metrics_aside() const;
  UpdateResult update();
  UpdateOptions update_options() const;
  bool show(const Update::Gradients& gradients, double lr) const;
  engine::Communicator::Trouble read_batches();
  void check_weights();
  void watch_layers(double factor);
  void pause_since(double before);
  [[noreturn]] void report_bad_update(double norm, int64_t first_micro_batch);
  void check_outcome();
  bool validation_due() const;
  /// Of the weights that people will use; nothing when a signal cut it off.
  std::optional<Evaluation> evaluate_average();
  /// Whether the loss is the best so far.
  bool validate();
  void save_checkpoint();
  void save_last_checkpoint();
  /// The same before an error is thrown that is to be heard: one of its own is a warning.
  void keep_what_was_learned();
  void say_trouble();
  void log_update(const UpdateResult& result);
  void log_sample();
  void note_failure(const std::string& path, const std::string& message) const;
  void record_line(engine::Json record);
  engine::Json constants() const;
  double mfu_of(double tokens_per_second) const;  // 0 where the peak is not known
  double done() const;
  bool spent() const { return done() >= 1; }
  /// Early stop: validation has not improved for eval.patience times.
  bool stalled() const;
  double learning_rate() const;
  int64_t planned_steps() const;

  TrainConfig config_;
  RunDir* run_;
  engine::Communicator alone_;
  engine::Communicator& communicator_;
  std::unique_ptr<models::Transformer> model_;
  std::unique_ptr<Shards> shards_;
  RunData data_;
  std::unique_ptr<data::Prefetch<MicroBatch>> batches_;  // of data_.training
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<LossScaler> scaler_;
  std::unique_ptr<Update> update_;
  std::unique_ptr<Schedule> schedule_;
  TrainingState state_;
  CheckpointQueue checkpoints_;
  std::unique_ptr<MetricsLog> metrics_;
  std::unique_ptr<EventWriter> tensorboard_;
  std::unique_ptr<LayerStatistics> statistics_;
  Progress progress_;
  UpdateWatch watch_;
  bool watch_ended_ = false;
  std::unique_ptr<Update> shown_update_;  // what `watch_` is shown in place of update_'s gradients; or null
  std::optional<LossScaler> shown_scaler_;
  std::vector<MicroBatch> micro_batches_;  // of the update that is being made
  bool stop_ = false;                      // some rank was asked to end
  bool newest_saved() const { return saved_step_ == state_.counters.step; }
  double seconds_before_ = 0, paused_ = 0;  // of training before this session; of it, not spent training
  double last_update_loss_ = 0;             // of an update that scored a position
  double clock_ = 0;                        // rank 0's, as of the last update
  double session_start_ = 0, done_at_start_ = 0, last_log_time_ = 0, last_checkpoint_time_ = 0,
         flops_per_token_ = 0, peak_flops_ = 0;
  int64_t last_log_tokens_ = 0, saved_step_ = -1;  // of the newest checkpoint
  bool metrics_wait_ = false;                      // whether that was said
};

}  // namespace train
