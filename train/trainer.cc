// Read first: trainer.h.
#include "train/trainer.h"

#include <cmath>

#include "engine/base/clock.h"
#include "engine/base/crc32c.h"
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
constexpr int64_t kCheckWeights = 100;  // updates between comparisons of the weights over the ranks

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
        std::move(data_.training), [this](const data::Batch& batch) {
          return micro_batch(model_->config(), batch, data_.vocabulary);
        });
  });
  communicator_.check_same("training data", engine::join_text("fingerprint ", batches_->position().fingerprint));
  communicator_.check_same("number of validation batches",
                           engine::join_text(data_.validation ? data_.validation->count() : 0));
  shards_ = std::make_unique<Shards>(model_->parameters(), communicator_, config.parallel);
  communicator_.agree([&] {
    optimizer_ = std::make_unique<Optimizer>(model_->parameters(), config.optim, shards_->pieces());
    if (config.precision == PrecisionKind::f16)
      scaler_.emplace(config.loss_scale, communicator_.size(), config.data.accumulate);
    schedule_ = std::make_unique<Schedule>(config.schedule, config.optim.lr, planned_steps());
  });
  update_ = std::make_unique<Update>(
      *model_, *optimizer_, *shards_, scaler_ ? &*scaler_ : nullptr,
      UpdateOptions{.dropout = {config.dropout.residual, config.dropout.attention, config.dropout.activation},
                    .head_dropout = config.dropout.head,
                    .seed = uint64_t(config.seed),
                    .checkpointing = config.activation_checkpointing,
                    .clip = config.optim.clip,
                    .vocabulary = data_.vocabulary,
                    .ema_decay = config.ema.decay,
                    .sum = config.parallel.sum});
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
      try {
        batches_->seek(state_.position);
      } catch (const engine::Error& e) {
        engine::fail("data.train ", config_.data.train, ": ", e.what(), "; other data is another run: normlab train --from ",
                     leads() ? run_->path() : "RUN", " --out OTHER");
      }
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

// ------------------------------------------------------------------------------------------------- budget
// and schedule

int64_t Trainer::planned_steps() const {
  const BudgetConfig& b = config_.budget;
  const double rows = double(config_.data.batch * config_.data.accumulate * communicator_.size());
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
  communicator_.set_moment(engine::join_text("update ", c.step + 1));
  const double started = engine::now();
  RankWord word{.stop = engine::stop_requested(),
                .seconds = seconds_before_ + started - session_start_ - paused_,
                .clock = started,
                .trouble = read_batches()};
  const bool data_failed = word.trouble.code != 0;
  // Micro-batches are numbered over the ranks: this rank's first one of the update.
  const int64_t first = c.step * config_.data.accumulate * communicator_.size() + communicator_.rank();
  const double lr = learning_rate();
  const Update::Gradients gradients = update_->gradients(micro_batches_, first, word);
  const Agreement& agreement = gradients.agreement;
  stop_ = agreement.stop;
  if (!agreement.troubles.empty()) {
    // Nothing of the step has happened when the data turns out to be damaged: what was learned is kept.
    bool data_alone = true;
    const std::vector<std::string> flags = communicator_.gather(std::string(1, char(data_failed)));
    for (size_t r = 0; r < flags.size(); ++r)
      data_alone = data_alone && (flags[r][0] != 0 || agreement.troubles[r].code == 0);
    if (data_alone && !newest_saved()) save_last_checkpoint();
    communicator_.end_if_any(agreement.troubles);
  }
  c.tokens += config_.data.accumulate * config_.data.batch * data_.context * communicator_.size();
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
  if (config_.parallel.check && c.step % kCheckWeights == 0) check_weights();
  // One rank's clock now; of several the one that all know.
  const bool alone = communicator_.size() == 1;
  clock_ = alone ? engine::now() : agreement.clock;
  c.seconds = alone ? seconds_before_ + clock_ - session_start_ - paused_ : agreement.seconds;
  return {gradients.loss, gradients.norm, lr, applied};
}

/// An error is for the others to know before anybody ends; with one rank it ends the run here.
engine::Communicator::Trouble Trainer::read_batches() {
  micro_batches_.clear();
  try {
    for (int64_t i = 0; i < config_.data.accumulate; ++i) {
      micro_batches_.push_back(batches_->next());
    }
  } catch (const engine::Error&) {
    if (communicator_.size() == 1) {
      if (!newest_saved()) save_last_checkpoint();
      throw;
    }
    micro_batches_.resize(size_t(config_.data.accumulate));
    return engine::Communicator::current_trouble();
  }
  return {};
}

/// Of what ops read: equal on all ranks, or a machine is at fault.
void Trainer::check_weights() {
  uint32_t sum = 0;
  for (const engine::Parameter* p : model_->parameters().all()) {
    const Tensor t = p->compute.to(engine::Device::cpu);
    sum = engine::crc32c(t.raw(), size_t(t.bytes()), sum);
  }
  communicator_.check_same(engine::join_text("sum of weights at update ", state_.counters.step),
                           engine::join_text(sum));
}

void Trainer::watch_layers(double factor) {
  shards_->collect_gradients();
  shards_->collect_values();
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
  std::string where = update_->find_bad_number(micro_batches_, first_micro_batch);
  // The lowest rank that has found where; none has when only the sum overflows.
  for (const std::string& found : communicator_.gather(where)) {
    if (found == Update::kSumNotFinite) continue;
    where = found;
    break;
  }
  checkpoints_.wait();
  communicator_.agree([&] {
    if (scaler_) throw Failure(scaler_->abort_message(step, where));
    throw Failure(engine::join_text(
        "step ", step, ": the gradient norm is ", std::isinf(norm) ? "infinite" : "not a number",
        ". First bad number: ", where, ". Lower optim.lr, or warm up longer; checkpoints are intact."));
  });
  __builtin_unreachable();  // all have failed
}

// ------------------------------------------------------------------------------------------------- the loop

RunEnd Trainer::run() {
  const std::string failure = leads() ? run_->path() + "/failure.txt" : "";
  if (leads()) engine::remove_file(failure);  // of an attempt before this one
  const int64_t begun_at = state_.counters.step;
  try {
    return run_to_end();
  } catch (const engine::DeviceError& e) {
    if (leads()) note_failure(failure, e.what());
    if (state_.counters.step == begun_at) throw;  // nothing has been trained: as any other setting that cannot work
    progress_.finish();
    checkpoints_.wait();
    throw Failure(engine::join_text("step ", state_.counters.step + 1, ": ", e.what(),
                                    "; checkpoints are intact, --resume goes on from the newest"));
  } catch (const std::exception& e) {
    if (leads()) note_failure(failure, e.what());
    throw;
  }
}

RunEnd Trainer::run_to_end() {
  SignalGuard signals(leads());
  RunCounters& c = state_.counters;
  const Expectation expected =  // measures the peak, in a few milliseconds
      expected_run(config_, model_->config(), data_.context, batches_->rows_per_epoch(), Peak::now,
                   communicator_.size());
  if (config_.device == engine::Device::cpu) peak_flops_ = expected.peak_flops;  // of others nobody has measured it
  if (leads()) engine::log_info(expectation_text(expected));
  done_at_start_ = done();
  session_start_ = last_log_time_ = engine::now();
  clock_ = last_checkpoint_time_ = communicator_.from_root(session_start_);
  last_log_tokens_ = c.tokens;
  seconds_before_ = c.seconds;
  paused_ = 0;  // validation and checkpoints do not count as training time
  const auto stopped = [&] { return stop_ || (communicator_.size() == 1 && signals.raised()); };
  // A validation that a signal cut off is made up for first, so that the run has every one that is due.
  if (validation_due() && c.validated_at != c.step && !spent()) validate();
  while (!spent() && !stalled() && !stopped()) {
    const UpdateResult result = update();
    if (watch_ended_) break;
    log_update(result);
    const double before = engine::now();
    const bool best = validation_due() && validate() && config_.checkpoint.keep_best > 0;
    const bool by_step = config_.checkpoint.every > 0 && c.step % config_.checkpoint.every == 0;
    const bool by_clock =
        config_.checkpoint.seconds > 0 && clock_ - last_checkpoint_time_ >= config_.checkpoint.seconds;
    if ((best || by_step || by_clock) && !spent()) save_checkpoint();
    log_sample();
    say_trouble();
    const double pause = engine::now() - before;
    paused_ += pause;
    last_log_time_ += pause;
  }
  RunEnd end = stopped()                   ? RunEnd::interrupted
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
  communicator_.agree([&] {
    if (metrics_) metrics_->file().finish();
    if (tensorboard_) tensorboard_->file().finish();
  });
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
  Tensor raw;
  if (state_.average.defined()) {  // the averaged weights are the ones that people will use
    raw = shards_->own_values();
    shards_->set_values(state_.average);
  }
  std::optional<Evaluation> evaluation;
  try {
    evaluation =
        evaluate(*model_, *data_.validation, config_.eval.batches, data_.vocabulary, communicator_);
  } catch (const engine::Stopped&) {
    stop_ = true;
  }
  if (raw.defined()) shards_->set_values(raw);
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
  if (metrics_) metrics_->write(record);
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
  communicator_.agree([&] {
    if (metrics_) metrics_->file().sync();  // the checkpoint must not outlive the lines before it
  });
  const std::string tokenizer = data_.tokenizer ? data_.tokenizer->to_json() : std::string();
  Snapshot snapshot = take_snapshot(*model_, *optimizer_, state_, scaler_ ? &*scaler_ : nullptr, *shards_,
                                    tokenizer, leads() ? run_->path() : "");
  if (leads()) checkpoints_.write(std::move(snapshot), config_.checkpoint.keep, config_.checkpoint.keep_best);
  last_checkpoint_time_ = communicator_.size() == 1 ? engine::now() : clock_;
  saved_step_ = state_.counters.step;
}

/// Of the step that the run ends at, on the disk when this returns; without it the end is an error.
void Trainer::save_last_checkpoint() {
  progress_.finish();
  checkpoints_.wait();
  say_trouble();
  saved_step_ = communicator_.from_root(saved_step_);  // rank 0 knows whether its writer failed
  if (!newest_saved()) save_checkpoint();
  checkpoints_.wait();
  communicator_.agree([&] {
    const std::string error = checkpoints_.take_error();
    check(error.empty(), error);
  });
}

/// A disk that does not take what it is given is no reason to stop: there may be room by the next time.
void Trainer::say_trouble() {
  if (const std::string error = checkpoints_.take_error(); !error.empty()) {
    saved_step_ = -1;
    progress_.note("warning: " + error + "; training goes on, the next checkpoint is the next attempt");
  }
  if (!metrics_) return;
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
  if (!model_->config().causal() || !leads()) return;
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
  if (watched) shards_->deal_values();
  if (!leads()) return;
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
