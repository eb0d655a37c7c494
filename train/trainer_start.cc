// How a run begins: model, data and optimizer, then a checkpoint's state, other weights, or initial values.
// Read first: trainer.h.
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/cpu/parallel.h"
#include "engine/kernel/isa.h"
#include "models/flops.h"
#include "models/hf/import.h"
#include "models/init.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "train/checkpoint/resume.h"
#include "train/open_model.h"
#include "train/trainer.h"

namespace train {

using engine::Json;

namespace {

nn::Precision dtypes_of(const TrainConfig& config) {
  if (config.precision == PrecisionKind::bf16) return nn::Precision::of(engine::DType::bf16);
  if (config.precision != PrecisionKind::f16) return nn::Precision::of(engine::DType::f32);
  return config.loss_scale.memory_efficient ? nn::Precision::memory_efficient_f16()
                                            : nn::Precision::of(engine::DType::f16);
}

}  // namespace

nn::Precision precision_of(const TrainConfig& config) {
  nn::Precision precision = dtypes_of(config);
  precision.device = config.device;
  return precision;
}

Trainer::Trainer(const TrainConfig& config, const models::ModelConfig& model_config, RunDir& run)
    : Trainer(config, model_config, &run, alone_) {}

Trainer::Trainer(const TrainConfig& config, const models::ModelConfig& model_config, RunDir* run,
                 engine::Communicator& communicator)
    : config_(config), run_(run), communicator_(communicator), progress_(config.log.every, !leads()) {
  if (config.threads > 0) engine::cpu::set_thread_count(int(config.threads));
  communicator_.set_options({.timeout = config.parallel.timeout, .check = config.parallel.check});
  communicator_.agree([&] {
    data_ = open_run_data(config, model_config, communicator_.rank(), communicator_.size());
    model_ = std::make_unique<models::Transformer>(model_config, precision_of(config));
    batches_ = std::make_unique<data::Prefetch<MicroBatch>>(
        std::move(data_.training),
        [this](const data::Batch& batch) { return micro_batch(model_->config(), batch, data_.vocabulary); });
  });
  communicator_.check_same("training data",
                           engine::join_text("fingerprint ", batches_->position().fingerprint));
  communicator_.check_same(
      "validation data",
      engine::join_text("fingerprint ", data_.validation ? data_.validation->fingerprint() : 0));
  // Every rank takes the optimizer's steps itself, so they must have the same bits.
  if (config.parallel.zero == 0)
    communicator_.check_same("processor level (NORMLAB_ISA sets it; parallel.zero=1 needs no equal ones)",
                             engine::cpu::name_of(engine::cpu::isa()));
  shards_ = std::make_unique<Shards>(model_->parameters(), communicator_, config.parallel);
  communicator_.agree([&] {
    optimizer_ = std::make_unique<Optimizer>(model_->parameters(), config.optim, shards_->pieces());
    if (config.precision == PrecisionKind::f16)
      scaler_.emplace(config.loss_scale, communicator_.size(), config.data.accumulate);
    schedule_ = std::make_unique<Schedule>(config.schedule, config.optim.lr, planned_steps());
  });
  update_ = std::make_unique<Update>(*model_, *optimizer_, *shards_, scaler_ ? &*scaler_ : nullptr,
                                     update_options());
  if (planned_steps() > 0 && config.schedule.warmup >= planned_steps() && leads())
    engine::log_warning("schedule.warmup ", config.schedule.warmup, " leaves nothing of the run's ",
                        planned_steps(), " updates to decay in: the learning rate only rises");
  if (config.ema.decay > 0) state_.average = shards_->zeros();
  statistics_ = std::make_unique<LayerStatistics>(*model_);
  flops_per_token_ = models::flops_per_token(model_config, data_.context).total();
  restore();
  communicator_.agree([&] {
    shards_->deal_values();
    if (!leads()) return;
    metrics_ = std::make_unique<MetricsLog>(run_->metrics_path(), state_.counters.step);
    // TensorBoard drops what earlier files have from the first step of this one on.
    const int64_t first_step = state_.counters.step > 0 ? state_.counters.step + 1 : 0;
    if (config.log.tensorboard) {
      tensorboard_ = std::make_unique<EventWriter>(run_->path(), first_step);
      tensorboard_->hyperparameters(config_json(config));
    }
  });
}

Trainer::~Trainer() = default;

UpdateOptions Trainer::update_options() const {
  const DropoutConfig& d = config_.dropout;
  return {.dropout = {d.residual, d.attention, d.activation},
          .head_dropout = d.head,
          .seed = uint64_t(config_.seed),
          .checkpointing = config_.activation_checkpointing,
          .clip = config_.optim.clip,
          .vocabulary = data_.vocabulary,
          .ema_decay = config_.ema.decay,
          .sum = config_.parallel.sum};
}

void Trainer::watch(UpdateWatch watch) {
  watch_ = std::move(watch);
  if (model_->config().experts == 0) return;
  UpdateOptions options = update_options();
  options.auxiliary = false;
  shown_scaler_ = scaler_;
  shown_update_ = std::make_unique<Update>(*model_, *optimizer_, *shards_,
                                           shown_scaler_ ? &*shown_scaler_ : nullptr, options);
}

void Trainer::restore() {
  std::optional<CheckpointInfo> checkpoint;
  communicator_.agree([&] {
    if (leads()) checkpoint = checkpoint_to_resume(run_->path());
    if (!checkpoint) return;
    check_same_model(models::read_model_config(checkpoint->folder + "/config.json"), model_->config(),
                     checkpoint->folder);
  });
  if (communicator_.from_root(int64_t(checkpoint.has_value())) != 0) {
    const std::string folder = checkpoint ? checkpoint->folder : "";
    restore_checkpoint(folder, *model_, *optimizer_, state_, scaler_ ? &*scaler_ : nullptr, *shards_);
    communicator_.agree([&] {
      seek_rows(config_, leads() ? run_->path() : "RUN", [&] { batches_->seek(state_.position); });
      if (leads()) set_damaged_aside(run_->path(), state_.counters.step);
    });
    saved_step_ = state_.counters.step;
    if (leads()) engine::log_info("resuming at step ", state_.counters.step, " from ", folder);
    say_changes();
    return;
  }
  if (leads()) set_metrics_aside();
  state_.settings = settings_json(config_, communicator_.size());
  communicator_.agree([&] { set_first_weights(); });
  communicator_.broadcast(model_->parameters().values());
  model_->parameters().refresh_copies();
  if (state_.average.defined()) state_.average.copy_from(shards_->own_values());
}

void Trainer::set_first_weights() {
  if (!config_.from.empty()) {
    const std::string folder = resolve_model(config_.from);
    const models::LoadedModel source = models::load_any(folder, nn::Precision::of(engine::DType::f32));
    check_same_model(source.model->config(), model_->config(), folder,
                     "`from` gives weights to their own model");
    for (engine::Parameter* p : model_->parameters().all())
      p->value.copy_from(source.model->parameters()[p->name].value);
    if (leads() && data_.tokenizer) warn_of_other_tokenizer(*data_.tokenizer, config_.data.tokenizer, folder);
    if (leads()) engine::log_info("starting from the weights of ", folder);
    return;
  }
  models::initialise(*model_, config_.init, uint64_t(config_.seed));
  const std::string& rule = config_.init.empty() ? models::init_rule(model_->config()) : config_.init;
  if (rule != "admin") return;
  models::admin_profile(*model_, batches_->next().tokens);
  batches_->seek(state_.position = {});
}

void Trainer::say_changes() {
  const Json before = std::exchange(state_.settings, settings_json(config_, communicator_.size()));
  if (!leads()) return;
  const ChangedSettings changed = changed_settings(before, config_, communicator_.size());
  if (!changed.numbers.empty())
    engine::log_warning("the run goes on with other settings than it had: ", changed.numbers);
  if (!changed.others.empty()) engine::log_info("changed: ", changed.others);
}

/// A run without a checkpoint begins again. What it had logged is kept once, under another name: the
/// checkpoints may have been lost.
void Trainer::set_metrics_aside() const {
  const std::string metrics = run_->metrics_path(), aside = metrics + ".old";
  if (!engine::file_exists(metrics) || engine::file_size(metrics) == 0) return;
  const bool keep = !engine::file_exists(aside);
  if (keep) engine::move_path(metrics, aside);
  engine::log_warning(run_->path(), ": no checkpoint to go on from, so the run begins at step 0",
                      keep ? "; what it had logged is now " + aside : "");
}

}  // namespace train
