// Fine-tuning on GLUE as two other programs do it, each as a training config: fairseq's recipe for RoBERTa (Liu et
// al. 2019, with fairseq's published rates and batches), and that of transformers' run_glue with its Trainer.
//
// What a request is: a task, a model, a recipe and overrides, learning rates and seeds; each (rate, seed) is a
// run. Read first: train/config.h, data/tasks_glue.h. Then: glue_rows.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/tasks_glue.h"
#include "train/config.h"

namespace train {

enum class Recipe { fairseq, hf };
enum class HeadChoice { automatic, fresh, keep };

struct FineTuneRequest {
  data::GlueTask task;
  Recipe recipe = Recipe::fairseq;
  std::string model;      // the folder that was resolved
  std::string data;       // the task's folder
  std::string tokenizer;  // in place of the model's own; "": its own
  HeadChoice head = HeadChoice::automatic;
  TrainConfig config;  // optim.lr and seed are those of a run; data.batch: rows of an update
  bool f64 = false;    // in place of config.precision
  /// Share of the updates that warm up, where schedule.warmup was not given as a number.
  std::optional<double> warmup_share;
  std::vector<double> rates;
  std::vector<int64_t> seeds;
  int64_t max_length = 0;  // tokens of a row, special ones included; 0: rows are not cut
  bool max_length_given = false;
  std::string select;    // the metric that is reported, and by which a rate is chosen
  std::string epoch_by;  // the metric whose best epoch is kept; "": the last epoch
};

/// Of the command line. `overrides`: "a.b=c" for keys of the training config.
struct FineTuneOptions {
  std::string task, recipe = "fairseq", precision, select;  // precision "": that of the overrides
  std::vector<std::string> overrides;
  std::vector<double> rates;
  std::vector<int64_t> seeds;
  double epochs = 0;                     // 0: the recipe's
  int64_t batch = 0, max_length = -1;    // batch 0, max_length -1: the recipe's
  HeadChoice head = HeadChoice::automatic;
  engine::Device device = engine::Device::cpu;
};

/// Errors: an unknown task or metric; an override of a key that fine-tuning does not have.
FineTuneRequest fine_tune_request(const FineTuneOptions& options);

/// Everything that a sweep is: one that goes on must have the same. The device is none of it.
engine::Json to_json(const FineTuneRequest& request);

/// The number format of the runs: "f64", or config.precision's name.
std::string precision_name(const FineTuneRequest& request);

/// "lr-1e-05-seed-1".
std::string run_name(double lr, int64_t seed);

/// Updates of a run of `rows` training rows (in all: at most, where a budget in tokens or seconds may end it
/// before; 0: such a budget alone does), and the warm-up's among them.
int64_t updates_per_epoch(const FineTuneRequest& request, int64_t rows);
int64_t total_updates(const FineTuneRequest& request, int64_t rows);
int64_t warmup_updates(const FineTuneRequest& request, int64_t updates);

/// The full config of one run; its budget in epochs as updates.
TrainConfig run_config(const FineTuneRequest& request, int64_t rows, double lr, int64_t seed);

/// The metrics that a task has, the one first by which it is judged.
std::vector<std::string> metrics_of(const data::GlueTask& task);

}  // namespace train
