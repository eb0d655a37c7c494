// Read first: trainer.h.
#include "train/trainer.h"

#include <chrono>
#include <cmath>

#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/bench/gemm_bench.h"
#include "engine/core/allocator.h"
#include "engine/cpu/parallel.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/optimizer.h"
#include "models/flops.h"
#include "models/init.h"
#include "models/parameter_list.h"
#include "train/checkpoint_dir.h"
#include "train/diagnosis.h"
#include "train/failure.h"
#include "train/signals.h"

namespace train {

using engine::check;
using engine::Json;
using engine::Tensor;

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// flops_per_token is models/flops.h: 6 x matrix parameters + 12 x layers x heads x head size x context.
constexpr const char* kMfuFormula = "MFU = tokens_per_second * flops_per_token / peak_flops";

nn::Precision dtypes_of(const TrainConfig& config) {
  if (config.precision == PrecisionKind::bf16) return nn::Precision::of(engine::DType::bf16);
  if (config.precision != PrecisionKind::f16) return nn::Precision::of(engine::DType::f32);
  return config.loss_scale.memory_efficient ? nn::Precision::memory_efficient_f16()
                                            : nn::Precision::of(engine::DType::f16);
}

engine::Device device_of(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cuda: return engine::Device::cuda;
    case DeviceKind::cuda_host: return engine::Device::cuda_host;
    default: return engine::Device::cpu;
  }
}

nn::Precision precision_of(const TrainConfig& config) {
  nn::Precision precision = dtypes_of(config);
  precision.device = device_of(config.device);
  return precision;
}

}  // namespace

Trainer::Trainer(const TrainConfig& config, const models::ModelConfig& model_config, RunDir& run)
    : config_(config), run_(run), progress_(config.log.every) {
  if (config.threads > 0) engine::cpu::set_thread_count(int(config.threads));
  data_ = open_data(config, model_config.objective, model_config.context, communicator_->rank(),
                    communicator_->size());
  check(data_.vocabulary <= model_config.vocab_size, "model.vocab_size: ", model_config.vocab_size,
        " is smaller than the data's vocabulary of ", data_.vocabulary);
  check(model_config.positions != nn::Positions::learned || data_.context <= model_config.context,
        "data.context: ", data_.context, " is more than the model's ", model_config.context,
        " learned positions");
  model_ = std::make_unique<models::Transformer>(model_config, precision_of(config));
  optimizer_ = std::make_unique<Optimizer>(model_->parameters(), config.optim);
  if (config.precision == PrecisionKind::f16)
    scaler_.emplace(config.loss_scale, communicator_->size(), config.data.accumulate);
  schedule_ = std::make_unique<Schedule>(config.schedule, config.optim.lr, planned_steps());
  state_.rng = {uint64_t(config.seed), 0};
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
  if (config.log.tensorboard) tensorboard_ = std::make_unique<EventWriter>(run.path(), first_step);
}

Trainer::~Trainer() = default;

void Trainer::restore() {
  if (const auto checkpoint = checkpoint_to_resume(run_.path())) {
    restore_checkpoint(checkpoint->folder, *model_, *optimizer_, state_, scaler_ ? &*scaler_ : nullptr);
    data_.training->seek(state_.position);
    saved_step_ = state_.counters.step;
    engine::log_info("resuming at step ", state_.counters.step, " from ", checkpoint->folder);
    return;
  }
  models::initialise(*model_, config_.init, uint64_t(config_.seed));
  const std::string& rule = config_.init.empty() ? models::init_rule(model_->config()) : config_.init;
  if (rule == "admin") {
    const data::Batch first = data_.training->next();
    models::admin_profile(*model_, to_tokens(first));
    data_.training->seek(state_.position = {});
  }
  communicator_->broadcast(model_->parameters().values());
  model_->parameters().refresh_copies();
  if (state_.average.defined()) state_.average.copy_from(model_->parameters().values());
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
  if (b.epochs > 0) limit(b.epochs * double(data_.training->rows_per_epoch()) / rows);
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
        std::max(share, double(state_.position.rows) / (b.epochs * double(data_.training->rows_per_epoch())));
  return share;
}

double Trainer::learning_rate() const {
  const int64_t n = optimizer_->updates();
  return planned_steps() > 0 ? schedule_->rate(n) : schedule_->rate(n, std::min(1.0, done()));
}

// ------------------------------------------------------------------------------------------------- one
// update

Trainer::BatchLoss Trainer::batch_loss(const data::Batch& batch, bool checkpointing) {
  nn::Context context = model_->context();
  context.dropout = {config_.dropout.residual, config_.dropout.attention, config_.dropout.activation};
  context.rng = &state_.rng;
  context.checkpointing = checkpointing;
  std::vector<Tensor> auxiliary;
  const double scale = scaler_ ? scaler_->scale() : 1;
  const Tensor hidden = model_->hidden(to_tokens(batch), context, context.precision.compute, &auxiliary);
  const Tensor nats =
      model_->loss(hidden, to_labels(batch), {.loss_scale = scale, .vocabulary = data_.vocabulary});
  Tensor total = nats;
  for (const Tensor& extra : auxiliary) total = engine::add(total, engine::affine(extra, scale));
  return {nats, total};
}

double Trainer::accumulate_gradients(int64_t& scored) {
  model_->parameters().clear_gradients();
  double loss = 0;
  for (const data::Batch& batch : batches_) {
    if (batch.scored == 0) continue;
    engine::Tape tape;
    const engine::TapeScope scope(tape);
    const BatchLoss sums = batch_loss(batch, config_.activation_checkpointing);
    tape.backward(sums.total);
    loss += sums.nats.item();
    scored += batch.scored;
  }
  model_->parameters().complete_gradients();
  return loss;
}

Trainer::UpdateResult Trainer::update() {
  batches_.clear();
  for (int64_t i = 0; i < config_.data.accumulate; ++i) batches_.push_back(data_.training->next());
  rng_before_ = state_.rng;
  RunCounters& c = state_.counters;

  int64_t scored = 0;
  UpdateResult result;
  result.lr = learning_rate();
  double loss = accumulate_gradients(scored);
  // Sums over all ranks; the factor below divides them by the scored positions of all ranks.
  communicator_->all_reduce(model_->parameters().grads());
  loss = engine::sum_over_ranks(*communicator_, loss);
  scored = int64_t(engine::sum_over_ranks(*communicator_, double(scored)));
  check(scored > 0, "step ", c.step + 1, ": no position of the batch is scored");
  result.loss = loss / double(scored);

  GradientFactor factor(scaler_ ? scaler_->scale() : 1);
  factor.multiply(1.0 / double(scored));
  result.norm = factor.norm(std::sqrt(engine::sum_of_squares(model_->parameters().grads())));
  const double to_mean = factor.value();
  if (watch_ && !watch_({c.step + 1, result.loss, result.norm, result.lr, to_mean, *model_})) {
    watch_ended_ = true;
    return result;
  }
  if (scaler_) {
    factor.clip(result.norm, config_.optim.clip);
  } else {
    if (!std::isfinite(result.norm) || !std::isfinite(result.loss)) report_bad_update(result.norm);
    factor.multiply(clip_factor(result.norm, config_.optim.clip));
  }
  const ScaleEvent event = scaler_ ? scaler_->observe(result.norm) : ScaleEvent::apply;
  if (event == ScaleEvent::abort) report_bad_update(result.norm);
  result.applied = event == ScaleEvent::apply;
  if (result.applied) {
    if (config_.log.layers > 0 && (c.step + 1) % config_.log.layers == 0) watch_layers(to_mean);
    optimizer_->step(result.lr, factor.value());
    models::normalize_ngpt(*model_);
    if (state_.average.defined())
      engine::ema_step(state_.average, model_->parameters().values(), config_.ema.decay);
  }
  ++c.step;
  c.applied = optimizer_->updates();
  for (const data::Batch& batch : batches_) c.tokens += batch.rows * batch.length * communicator_->size();
  state_.position = data_.training->position();
  return result;
}

void Trainer::watch_layers(double factor) {
  ActivationProbe probe;
  nn::Context context = model_->context();
  context.probe = &probe;
  const engine::TapeScope off(nullptr);
  model_->hidden(to_tokens(batches_.front()), context);
  statistics_->before_update(factor, probe);
}

void Trainer::report_bad_update(double norm) {
  progress_.finish();
  const int64_t step = state_.counters.step + 1;
  std::string where;
  state_.rng = rng_before_;  // the same dropout again
  for (const data::Batch& batch : batches_) {
    if (batch.scored == 0) continue;
    model_->parameters().clear_gradients();
    where = find_bad_number([&] { return batch_loss(batch, /*checkpointing=*/false).total; });
    for (const engine::Parameter* p : model_->parameters().all()) {
      if (!where.empty() || !p->grad_written) continue;
      if (const std::string what = not_finite(p->grad); !what.empty())
        where = engine::join_text("gradient of ", p->name, ": ", what);
    }
    if (!where.empty()) break;
  }
  if (where.empty()) where = "the gradients of every micro-batch are finite; their sum is not";
  checkpoints_.finish();
  if (scaler_) throw Failure(scaler_->abort_message(step, where));
  throw Failure(engine::join_text(
      "step ", step, ": the gradient norm is ", std::isinf(norm) ? "infinite" : "not a number",
      ". First bad number: ", where, ". Lower optim.lr, or warm up longer; checkpoints are intact."));
}

// ------------------------------------------------------------------------------------------------- the loop

RunEnd Trainer::run() {
  SignalGuard signals;
  RunCounters& c = state_.counters;
  peak_flops_ = 1e9 * engine::multiply_add_peak(precision_of(config_).compute);  // a few milliseconds
  char line[160];
  std::snprintf(line, sizeof line,
                "%.3g MFLOP a token; peak of multiply-adds on %d threads, measured: %.0f GFLOP/s",
                flops_per_token_ * 1e-6, engine::cpu::thread_count(), peak_flops_ * 1e-9);
  engine::log_info(line);
  done_at_start_ = done();
  session_start_ = last_log_time_ = last_checkpoint_time_ = now();
  last_log_tokens_ = c.tokens;
  const double seconds_before = c.seconds;
  double paused = 0;  // validation and checkpoints do not count as training time
  bool interrupted = false;
  while (!spent() && !stalled() && !(interrupted = signals.raised())) {
    const UpdateResult result = update();
    if (watch_ended_) break;
    c.seconds = seconds_before + now() - session_start_ - paused;
    log_update(result);
    const double before = now();
    const bool due = config_.eval.every > 0 && data_.validation && c.step % config_.eval.every == 0;
    const bool best = due && validate() && config_.checkpoint.keep_best > 0;
    const bool by_step = config_.checkpoint.every > 0 && c.step % config_.checkpoint.every == 0;
    const bool by_clock =
        config_.checkpoint.seconds > 0 && before - last_checkpoint_time_ >= config_.checkpoint.seconds;
    if ((best || by_step || by_clock) && !spent()) save_checkpoint();
    const double pause = now() - before;
    paused += pause;
    last_log_time_ += pause;
  }
  const RunEnd end = interrupted                 ? RunEnd::interrupted
                     : stalled() || watch_ended_ ? RunEnd::stopped_early
                                                 : RunEnd::finished;
  if (end == RunEnd::stopped_early && !watch_ended_)
    progress_.note(
        engine::join_text("stopping early: ", c.evaluations_without_gain, " validations without a gain"));
  if (end == RunEnd::finished && data_.validation && c.validated_at != c.step) validate();
  if (saved_step_ != c.step) save_checkpoint();
  checkpoints_.finish();
  progress_.finish();
  return end;
}

bool Trainer::stalled() const {
  return config_.eval.patience > 0 && state_.counters.evaluations_without_gain >= config_.eval.patience;
}

bool Trainer::validate() {
  nn::Parameters& parameters = model_->parameters();
  Tensor raw;
  if (state_.average.defined()) {  // the averaged weights are the ones that people will use
    raw = parameters.values().like(parameters.values().shape(), parameters.values().dtype());
    raw.copy_from(parameters.values());
    parameters.values().copy_from(state_.average);
    parameters.refresh_copies();
  }
  const Evaluation evaluation = evaluate(*model_, *data_.validation, config_.eval.batches, data_.vocabulary);
  if (raw.defined()) {
    parameters.values().copy_from(raw);
    parameters.refresh_copies();
  }
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
  const std::string tokenizer = data_.tokenizer ? data_.tokenizer->to_json() : std::string();
  checkpoints_.write(
      take_snapshot(*model_, *optimizer_, state_, scaler_ ? &*scaler_ : nullptr, tokenizer, run_.path()),
      config_.checkpoint.keep, config_.checkpoint.keep_best);
  last_checkpoint_time_ = now();
  saved_step_ = state_.counters.step;
}

/// What holds for all of the run, for its first line.
Json Trainer::constants() const {
  return {{"parameters", models::parameter_count(model_->config())},
          {"flops_per_token", flops_per_token_},
          {"peak_flops", peak_flops_},
          {"mfu_formula", kMfuFormula}};
}

void Trainer::log_update(const UpdateResult& result) {
  const RunCounters& c = state_.counters;
  const bool watched = config_.log.layers > 0 && c.step % config_.log.layers == 0 && result.applied;
  const Json layers = watched ? statistics_->after_update() : Json();
  const double elapsed = now() - last_log_time_;
  const double speed = elapsed > 0 ? double(c.tokens - last_log_tokens_) / elapsed : 0;
  progress_.update({.step = c.step,
                    .total_steps = config_.budget.steps,
                    .done = done(),
                    .loss = result.loss,
                    .tokens_per_second = speed,
                    .mfu = speed * flops_per_token_ / peak_flops_,
                    .elapsed = now() - session_start_,
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
                 {"mfu", speed * flops_per_token_ / peak_flops_},
                 {"peak_memory", engine::memory_statistics(engine::Device::cpu).peak}};
  if (metrics_->empty()) record.update(constants());
  if (watched) record.update(layers);
  metrics_->write(record);
  if (tensorboard_) tensorboard_->write(record);
  last_log_time_ = now();
  last_log_tokens_ = c.tokens;
}

}  // namespace train
