// Read first: trainer.h.
#include "train/trainer.h"

#include <cmath>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/log.h"
#include "engine/base/stop.h"
#include "engine/base/text.h"
#include "engine/core/allocator.h"
#include "engine/cpu/parallel.h"
#include "models/flops.h"
#include "models/hf/import.h"
#include "models/init.h"
#include "models/parameter_list.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "train/checkpoint/resume.h"
#include "train/expectation.h"
#include "train/failure.h"
#include "train/sample.h"
#include "train/signals.h"

namespace train {

using engine::check;
using engine::Json;
using engine::Tensor;

namespace {

// flops_per_token is models/flops.h: 6 x matrix parameters + 12 x layers x heads x head size x context.
constexpr const char* kMfuFormula = "MFU = tokens_per_second * flops_per_token / peak_flops";

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
    : config_(config), run_(run), progress_(config.log.every) {
  if (config.threads > 0) engine::cpu::set_thread_count(int(config.threads));
  data_ = open_run_data(config, model_config, communicator_->rank(), communicator_->size());
  model_ = std::make_unique<models::Transformer>(model_config, precision_of(config));
  batches_ = std::make_unique<data::Prefetch<MicroBatch>>(
      std::move(data_.training), [this](const data::Batch& batch) {
        return micro_batch(model_->config(), batch, data_.vocabulary);
      });
  optimizer_ = std::make_unique<Optimizer>(model_->parameters(), config.optim);
  if (config.precision == PrecisionKind::f16)
    scaler_.emplace(config.loss_scale, communicator_->size(), config.data.accumulate);
  update_ = std::make_unique<Update>(
      *model_, *optimizer_, *communicator_, scaler_ ? &*scaler_ : nullptr,
      UpdateOptions{.dropout = {config.dropout.residual, config.dropout.attention, config.dropout.activation},
                    .head_dropout = config.dropout.head,
                    .seed = uint64_t(config.seed),
                    .checkpointing = config.activation_checkpointing,
                    .clip = config.optim.clip,
                    .vocabulary = data_.vocabulary,
                    .ema_decay = config.ema.decay});
  schedule_ = std::make_unique<Schedule>(config.schedule, config.optim.lr, planned_steps());
  if (planned_steps() > 0 && config.schedule.warmup >= planned_steps())
    engine::log_warning("schedule.warmup ", config.schedule.warmup, " leaves nothing of the run's ",
                        planned_steps(), " updates to decay in: the learning rate only rises");
  if (config.ema.decay > 0) {
    const Tensor& values = model_->parameters().values();
    state_.average =
        values.like(values.shape(), engine::compute_dtype(values.dtype()), engine::Contents::zeros);
  }
  statistics_ = std::make_unique<LayerStatistics>(*model_);
  flops_per_token_ = models::flops_per_token(model_config, data_.context).total();
  restore();
  metrics_ = std::make_unique<MetricsLog>(run.metrics_path(), state_.counters.step);
  // TensorBoard drops what earlier files have from the first step of this one on.
  const int64_t first_step = state_.counters.step > 0 ? state_.counters.step + 1 : 0;
  if (config.log.tensorboard) {
    tensorboard_ = std::make_unique<EventWriter>(run.path(), first_step);
    tensorboard_->hyperparameters(config_json(config));
  }
}

Trainer::~Trainer() = default;

void Trainer::restore() {
  if (const auto checkpoint = checkpoint_to_resume(run_.path())) {
    check_same_model(models::read_model_config(checkpoint->folder + "/config.json"), model_->config(),
                     checkpoint->folder);
    restore_checkpoint(checkpoint->folder, *model_, *optimizer_, state_, scaler_ ? &*scaler_ : nullptr);
    try {
      batches_->seek(state_.position);
    } catch (const engine::Error& e) {
      engine::fail("data.train ", config_.data.train, ": ", e.what(),
                   "; other data is another run: normlab train --from ", run_.path(), " --out OTHER");
    }
    saved_step_ = state_.counters.step;
    engine::log_info("resuming at step ", state_.counters.step, " from ", checkpoint->folder);
    say_changes();
    return;
  }
  set_metrics_aside();
  state_.settings = settings_json(config_);
  set_first_weights();
  communicator_->broadcast(model_->parameters().values());
  model_->parameters().refresh_copies();
  if (state_.average.defined()) state_.average.copy_from(model_->parameters().values());
}

void Trainer::set_first_weights() {
  if (!config_.from.empty()) {
    const std::string folder = resolve_model(config_.from);
    const models::LoadedModel source = models::load_any(folder, nn::Precision::of(engine::DType::f32));
    check_same_model(source.model->config(), model_->config(), folder,
                     "`from` gives weights to their own model");
    for (engine::Parameter* p : model_->parameters().all())
      p->value.copy_from(source.model->parameters()[p->name].value);
    engine::log_info("starting from the weights of ", folder);
    return;
  }
  models::initialise(*model_, config_.init, uint64_t(config_.seed));
  const std::string& rule = config_.init.empty() ? models::init_rule(model_->config()) : config_.init;
  if (rule != "admin") return;
  models::admin_profile(*model_, batches_->next().tokens);
  batches_->seek(state_.position = {});
}

void Trainer::say_changes() {
  const ChangedSettings changed = changed_settings(state_.settings, config_);
  if (!changed.numbers.empty())
    engine::log_warning("the run goes on with other settings than it had: ", changed.numbers);
  if (!changed.others.empty()) engine::log_info("changed: ", changed.others);
  state_.settings = settings_json(config_);
}

/// A run without a checkpoint begins again. What it had logged is kept once, under another name: the
/// checkpoints may have been lost.
void Trainer::set_metrics_aside() const {
  const std::string metrics = run_.metrics_path(), aside = metrics + ".old";
  if (!engine::file_exists(metrics) || engine::file_size(metrics) == 0) return;
  const bool keep = !engine::file_exists(aside);
  if (keep) engine::move_path(metrics, aside);
  engine::log_warning(run_.path(), ": no checkpoint to go on from, so the run begins at step 0",
                      keep ? "; what it had logged is now " + aside : "");
}

// ------------------------------------------------------------------------------------------------- budget
// and schedule

int64_t Trainer::planned_steps() const {
  const BudgetConfig& b = config_.budget;
  const double rows = double(config_.data.batch * config_.data.accumulate * communicator_->size());
  int64_t steps = config_.schedule.steps;
  const auto limit = [&](double updates) {
    const int64_t n = std::max<int64_t>(1, int64_t(std::ceil(updates)));
    steps = steps == 0 ? n : std::min(steps, n);
  };
  if (config_.schedule.steps > 0) return steps;
  if (b.steps > 0) limit(double(b.steps));
  if (b.tokens > 0) limit(double(b.tokens) / (rows * double(data_.context)));
  if (b.epochs > 0) limit(b.epochs * double(batches_->rows_per_epoch()) / rows);
  return steps;
}

double Trainer::done() const {
  const BudgetConfig& b = config_.budget;
  const RunCounters& c = state_.counters;
  double share = 0;
  if (b.steps > 0) share = std::max(share, double(c.step) / double(b.steps));
  if (b.tokens > 0) share = std::max(share, double(c.tokens) / double(b.tokens));
  if (b.seconds > 0) share = std::max(share, c.seconds / b.seconds);
  if (b.epochs > 0)
    share =
        std::max(share, double(state_.position.rows) / (b.epochs * double(batches_->rows_per_epoch())));
  return share;
}

double Trainer::learning_rate() const {
  const int64_t n = optimizer_->updates();
  return planned_steps() > 0 ? schedule_->rate(n) : schedule_->rate(n, std::min(1.0, done()));
}

// ------------------------------------------------------------------------------------------------- one
// update

Trainer::UpdateResult Trainer::update() {
  RunCounters& c = state_.counters;
  read_batches();
  // Micro-batches are numbered over the ranks: this rank's first one of the update.
  const int64_t first = c.step * config_.data.accumulate * communicator_->size() + communicator_->rank();
  const double lr = learning_rate();
  const Update::Gradients gradients = update_->gradients(micro_batches_, first);
  if (watch_ && !watch_({c.step + 1, gradients.loss, gradients.norm, lr, gradients.unclipped, *model_})) {
    watch_ended_ = true;
    return {gradients.loss, gradients.norm, lr, false};
  }
  const bool broken = !scaler_ && !gradients.finite();
  if (broken || gradients.event == ScaleEvent::abort) report_bad_update(gradients.norm, first);
  const bool applied = gradients.event == ScaleEvent::apply;
  if (applied) {
    if (config_.log.layers > 0 && (c.step + 1) % config_.log.layers == 0) watch_layers(gradients.unclipped);
    update_->apply(gradients, lr, state_.average);
  }
  ++c.step;
  c.applied = optimizer_->updates();
  state_.position = batches_->position();
  return {gradients.loss, gradients.norm, lr, applied};
}

/// Nothing of the step has happened when the data turns out to be damaged: what was learned so far is kept.
void Trainer::read_batches() {
  micro_batches_.clear();
  int64_t tokens = 0;
  try {
    for (int64_t i = 0; i < config_.data.accumulate; ++i) {
      micro_batches_.push_back(batches_->next());
      tokens += micro_batches_.back().tokens.shape.numel() * communicator_->size();
    }
  } catch (const engine::Error&) {
    if (saved_step_ != state_.counters.step) save_last_checkpoint();
    throw;
  }
  state_.counters.tokens += tokens;
}

void Trainer::watch_layers(double factor) {
  ActivationProbe probe;
  nn::Context context = model_->context();
  context.probe = &probe;
  const engine::TapeScope off(nullptr);
  model_->hidden(micro_batches_.front().tokens, context, context.precision.stream);
  statistics_->before_update(factor, probe);
}

void Trainer::report_bad_update(double norm, int64_t first_micro_batch) {
  progress_.finish();
  const int64_t step = state_.counters.step + 1;
  const std::string where = update_->find_bad_number(micro_batches_, first_micro_batch);
  checkpoints_.wait();
  if (scaler_) throw Failure(scaler_->abort_message(step, where));
  throw Failure(engine::join_text(
      "step ", step, ": the gradient norm is ", std::isinf(norm) ? "infinite" : "not a number",
      ". First bad number: ", where, ". Lower optim.lr, or warm up longer; checkpoints are intact."));
}

// ------------------------------------------------------------------------------------------------- the loop

RunEnd Trainer::run() {
  const std::string failure = run_.path() + "/failure.txt";
  engine::remove_file(failure);  // of an attempt before this one
  const int64_t begun_at = state_.counters.step;
  try {
    return run_to_end();
  } catch (const engine::DeviceError& e) {
    note_failure(failure, e.what());
    if (state_.counters.step == begun_at) throw;  // nothing has been trained: as any other setting that cannot work
    progress_.finish();
    checkpoints_.wait();
    throw Failure(engine::join_text("step ", state_.counters.step + 1, ": ", e.what(),
                                    "; checkpoints are intact, --resume goes on from the newest"));
  } catch (const engine::Error& e) {
    note_failure(failure, e.what());
    throw;
  } catch (const std::exception& e) {
    note_failure(failure, e.what());
    throw;
  }
}

RunEnd Trainer::run_to_end() {
  SignalGuard signals;
  RunCounters& c = state_.counters;
  const Expectation expected =  // measures the peak, in a few milliseconds
      expected_run(config_, model_->config(), data_.context, batches_->rows_per_epoch(), Peak::now);
  if (config_.device == engine::Device::cpu) peak_flops_ = expected.peak_flops;  // of others nobody has measured it
  engine::log_info(expectation_text(expected));
  done_at_start_ = done();
  session_start_ = last_log_time_ = last_checkpoint_time_ = engine::now();
  last_log_tokens_ = c.tokens;
  const double seconds_before = c.seconds;
  double paused = 0;  // validation and checkpoints do not count as training time
  // A validation that a signal cut off is made up for first, so that the run has every one that is due.
  if (validation_due() && c.validated_at != c.step && !spent()) validate();
  while (!spent() && !stalled() && !signals.raised()) {
    const UpdateResult result = update();
    if (watch_ended_) break;
    c.seconds = seconds_before + engine::now() - session_start_ - paused;
    log_update(result);
    const double before = engine::now();
    const bool best = validation_due() && validate() && config_.checkpoint.keep_best > 0;
    const bool by_step = config_.checkpoint.every > 0 && c.step % config_.checkpoint.every == 0;
    const bool by_clock =
        config_.checkpoint.seconds > 0 && before - last_checkpoint_time_ >= config_.checkpoint.seconds;
    if ((best || by_step || by_clock) && !spent()) save_checkpoint();
    log_sample();
    say_trouble();
    const double pause = engine::now() - before;
    paused += pause;
    last_log_time_ += pause;
  }
  RunEnd end = signals.raised()            ? RunEnd::interrupted
               : stalled() || watch_ended_ ? RunEnd::stopped_early
                                           : RunEnd::finished;
  if (end == RunEnd::stopped_early && !watch_ended_)
    progress_.note(
        engine::join_text("stopping early: ", c.evaluations_without_gain, " validations without a gain"));
  if (end == RunEnd::finished && data_.validation && c.validated_at != c.step) {
    validate();
    if (c.validated_at != c.step) end = RunEnd::interrupted;
  }
  save_last_checkpoint();
  metrics_->file().finish();
  if (tensorboard_) tensorboard_->file().finish();
  return end;
}

bool Trainer::validation_due() const {
  const int64_t step = state_.counters.step;
  return config_.eval.every > 0 && data_.validation && step > 0 && step % config_.eval.every == 0;
}

bool Trainer::stalled() const {
  return config_.eval.patience > 0 && state_.counters.evaluations_without_gain >= config_.eval.patience;
}

std::optional<Evaluation> Trainer::evaluate_average() {
  nn::Parameters& parameters = model_->parameters();
  Tensor raw;
  if (state_.average.defined()) {  // the averaged weights are the ones that people will use
    raw = parameters.values().like(parameters.values().shape(), parameters.values().dtype());
    raw.copy_from(parameters.values());
    parameters.values().copy_from(state_.average);
    parameters.refresh_copies();
  }
  std::optional<Evaluation> evaluation;
  try {
    evaluation = evaluate(*model_, *data_.validation, config_.eval.batches, data_.vocabulary);
  } catch (const engine::Stopped&) {
  }
  if (raw.defined()) {
    parameters.values().copy_from(raw);
    parameters.refresh_copies();
  }
  return evaluation;
}

bool Trainer::validate() {
  const std::optional<Evaluation> whole = evaluate_average();
  if (!whole) return false;
  const Evaluation& evaluation = *whole;
  RunCounters& c = state_.counters;
  c.last_loss = evaluation.loss;
  c.validated_at = c.step;
  saved_step_ = -1;  // a checkpoint of this step, if there is one, does not have the loss yet
  const bool gain = !c.best_loss || evaluation.loss < *c.best_loss;
  c.evaluations_without_gain = gain ? 0 : c.evaluations_without_gain + 1;
  if (gain) c.best_loss = evaluation.loss;
  const Json record = {{"step", c.step},
                       {"tokens", c.tokens},
                       {"seconds", c.seconds},
                       {"valid_loss", evaluation.loss},
                       {"valid_ppl", std::exp(evaluation.loss)}};
  metrics_->write(record);
  if (tensorboard_) tensorboard_->write(record);
  char line[128];
  std::snprintf(line, sizeof line, "step %lld: valid loss %.4f  ppl %.2f", (long long)c.step, evaluation.loss,
                std::exp(evaluation.loss));
  progress_.note(line);
  return gain;
}

void Trainer::save_checkpoint() {
  checkpoints_.wait();  // before there are two copies of everything
  say_trouble();
  metrics_->file().sync();  // the checkpoint must not outlive the lines before it
  const std::string tokenizer = data_.tokenizer ? data_.tokenizer->to_json() : std::string();
  checkpoints_.write(
      take_snapshot(*model_, *optimizer_, state_, scaler_ ? &*scaler_ : nullptr, tokenizer, run_.path()),
      config_.checkpoint.keep, config_.checkpoint.keep_best);
  last_checkpoint_time_ = engine::now();
  saved_step_ = state_.counters.step;
}

/// Of the step that the run ends at, on the disk when this returns; without it the end is an error.
void Trainer::save_last_checkpoint() {
  progress_.finish();
  checkpoints_.wait();
  say_trouble();
  if (saved_step_ != state_.counters.step) save_checkpoint();
  checkpoints_.wait();
  const std::string error = checkpoints_.take_error();
  check(error.empty(), error);
}

/// A disk that does not take what it is given is no reason to stop: there may be room by the next time.
void Trainer::say_trouble() {
  if (const std::string error = checkpoints_.take_error(); !error.empty()) {
    saved_step_ = -1;
    progress_.note("warning: " + error + "; training goes on, the next checkpoint is the next attempt");
  }
  const std::string& trouble = metrics_->file().trouble();
  if (!trouble.empty() && !metrics_wait_)
    progress_.note("warning: " + trouble + "; the lines wait in memory until there is room");
  metrics_wait_ = !trouble.empty();
}

void Trainer::note_failure(const std::string& path, const std::string& message) const {
  try {
    engine::write_file(path, engine::join_text("step ", state_.counters.step + 1, ": ", message, "\n"));
  } catch (const engine::Error&) {  // the disk may be what failed
  }
}

/// Distributions of every learned gain and scale, for TensorBoard.
void Trainer::log_histograms() {
  for (const engine::Parameter* p : model_->parameters().all()) {
    const nn::ParameterGroup group = model_->parameters().group(*p);
    if (group == nn::ParameterGroup::norm || group == nn::ParameterGroup::gain)
      tensorboard_->histogram("gains/" + p->name, state_.counters.step, p->value.to_vector());
  }
}

/// What the model writes at this point of the run.
void Trainer::log_sample() {
  const int64_t step = state_.counters.step;
  if (config_.log.samples <= 0 || step % config_.log.samples != 0 || !data_.tokenizer) return;
  if (!model_->config().causal()) return;
  const std::string text = sample_text(*model_, *data_.tokenizer, {});
  const Json record = {{"step", step},
                       {"tokens", state_.counters.tokens},
                       {"seconds", state_.counters.seconds},
                       {"sample", text}};
  metrics_->write(record);
  if (tensorboard_) tensorboard_->write(record);
}

/// What holds for all of the run, for its first line.
Json Trainer::constants() const {
  return {{"parameters", models::parameter_count(model_->config())},
          {"flops_per_token", flops_per_token_},
          {"peak_flops", peak_flops_},
          {"kernels", kernels_in_use()},
          {"mfu_formula", kMfuFormula}};
}

double Trainer::mfu_of(double tokens_per_second) const {
  return peak_flops_ > 0 ? tokens_per_second * flops_per_token_ / peak_flops_ : 0;
}

void Trainer::log_update(const UpdateResult& result) {
  const RunCounters& c = state_.counters;
  const bool watched = config_.log.layers > 0 && c.step % config_.log.layers == 0 && result.applied;
  const Json layers = watched ? statistics_->after_update() : Json();
  const double elapsed = engine::now() - last_log_time_;
  const double speed = elapsed > 0 ? double(c.tokens - last_log_tokens_) / elapsed : 0;
  progress_.update({.step = c.step,
                    .total_steps = config_.budget.steps,
                    .done = done(),
                    .loss = result.loss,
                    .tokens_per_second = speed,
                    .mfu = mfu_of(speed),
                    .elapsed = engine::now() - session_start_,
                    .done_at_start = done_at_start_});
  if (c.step % config_.log.every != 0 && !watched && !spent()) return;
  Json record = {{"step", c.step},
                 {"tokens", c.tokens},
                 {"seconds", c.seconds},
                 {"loss", result.loss},
                 {"ppl", std::exp(result.loss)},
                 {"lr", result.lr},
                 {"grad_norm", result.norm},
                 {"loss_scale", scaler_ ? scaler_->scale() : 1},
                 {"applied", result.applied},
                 {"tokens_per_second", speed},
                 {"mfu", mfu_of(speed)},
                 {"peak_memory", engine::memory_statistics(engine::Device::cpu).peak}};
  if (metrics_->empty()) record.update(constants());
  if (watched) record.update(layers);
  metrics_->write(record);
  if (tensorboard_) tensorboard_->write(record);
  if (tensorboard_ && watched) log_histograms();
  last_log_time_ = engine::now();
  last_log_tokens_ = c.tokens;
}

}  // namespace train
