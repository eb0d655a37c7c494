// One run of fine-tuning: a (rate, seed) of a sweep. Its folder holds
//
//   config.json     what it was asked
//   metrics.jsonl   an object a logged update; validations have the metrics of the development rows
//   checkpoints/    to go on from, while it is not finished
//   model/          a model directory: the weights of the epoch that was selected
//   result.json     once it is finished
//
// Read first: recipe.h, glue_score.h, update.h. Then: sweep.h.
#pragma once

#include <memory>
#include <string>

#include "models/classifier.h"
#include "train/checkpoint/run_dir.h"
#include "train/checkpoint/training_state.h"
#include "train/finetune/glue_score.h"
#include "train/layer_statistics.h"
#include "train/metrics.h"
#include "train/progress.h"
#include "train/schedule.h"
#include "train/tensorboard.h"

namespace train {

/// What all runs of a sweep share.
struct FineTuneSetup {
  FineTuneRequest request;
  std::unique_ptr<models::Transformer> source;
  std::unique_ptr<data::Tokenizer> tokenizer;
  GlueData data;
  models::HeadInit head = models::HeadInit::uniform;
  nn::Precision precision;
};

class FineTuneRun {
 public:
  /// Builds the classifier and goes on from the newest intact checkpoint, if the folder holds one.
  FineTuneRun(const FineTuneSetup& setup, double lr, int64_t seed, const std::string& folder);
  ~FineTuneRun();

  /// False: stopped (engine/base/stop.h), after writing a checkpoint. Training whose numbers are beyond
  /// repair is a result as well: status "failed". A device that is lost or full is none: DeviceError where
  /// this process has made no update yet, else Failure; checkpoints stay.
  bool run();

  const models::Transformer& model() const { return *model_; }
  /// Nats (squared error), norm and rate of one update; of tests and of run().
  struct Step {
    double loss = 0, norm = 0, lr = 0;
    bool applied = true;
  };
  Step update();
  int64_t step() const { return state_.counters.step; }
  /// Of the whole run; 0: its budget in tokens or seconds does not tell.
  int64_t updates() const { return config_.budget.steps; }

 private:
  double learning_rate() const;
  /// Of the budget that is spent first, and of those that are no number of updates.
  double done() const;
  double open_budgets_done() const;
  bool spent() const { return done() >= 1; }
  bool stalled() const;
  bool ends_here() const { return spent() || stalled(); }
  /// Of what the recipe chooses the epoch by, or the rate.
  const std::string& judged_by() const;
  bool evaluation_due() const;
  bool evaluated() const;
  bool evaluate();
  engine::Json development_metrics() const;
  void keep_model();
  void save_checkpoint();
  void log_update(const Step& step);
  void record(const engine::Json& line);
  engine::Json result(const char* status, const std::string& error) const;
  bool train_to_the_end();

  const FineTuneSetup& setup_;
  TrainConfig config_;
  std::string folder_;
  RunDir dir_;
  int64_t per_epoch_;
  engine::Communicator communicator_;  // of one rank
  std::unique_ptr<models::Transformer> model_;
  std::unique_ptr<Shards> shards_;
  std::unique_ptr<Optimizer> optimizer_;
  std::optional<LossScaler> scaler_;
  std::unique_ptr<Update> update_;
  std::unique_ptr<Schedule> schedule_;
  TrainingState state_;
  std::unique_ptr<MetricsLog> metrics_;
  std::unique_ptr<EventWriter> tensorboard_;  // null: not wanted
  std::unique_ptr<LayerStatistics> statistics_;
  engine::Json layers_;  // of the last update, where they were looked at
  Progress progress_;
  std::vector<engine::Json> evaluations_;  // {"step", "epoch", metrics …}
  double started_ = 0, paused_ = 0, seconds_before_ = 0, last_checkpoint_ = 0, done_at_start_ = 0;
};

/// result.json of a finished run in `folder`; null: there is none. Error: it is not that of this rate and
/// seed.
engine::Json finished_result(const std::string& folder, double lr, int64_t seed);

}  // namespace train
