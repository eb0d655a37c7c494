// What a run leaves behind: validations, checkpoints, lines of metrics, samples. Read first: trainer.h.
#include <cmath>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/stop.h"
#include "engine/base/text.h"
#include "engine/core/allocator.h"
#include "models/parameter_list.h"
#include "train/sample.h"
#include "train/trainer.h"

namespace train {

using engine::check;
using engine::Json;
using engine::Tensor;

namespace {

// flops_per_token is models/flops.h: 6 x matrix parameters + 12 x layers x heads x head size x context.
constexpr const char* kMfuFormula = "MFU = tokens_per_second * flops_per_token / peak_flops";

}  // namespace

std::optional<Evaluation> Trainer::evaluate_average() {
  Tensor raw;
  if (state_.average.defined()) {  // the averaged weights are the ones that people will use
    raw = shards_->own_values();
    shards_->set_values(state_.average);
  }
  std::optional<Evaluation> evaluation;
  try {
    evaluation = evaluate(*model_, *data_.validation, config_.eval.batches, data_.vocabulary, communicator_);
  } catch (const engine::Stopped&) {
    stop_ = true;
  } catch (const std::runtime_error&) {  // of the data, and known to all ranks
    if (raw.defined()) shards_->set_values(raw);
    keep_what_was_learned();
    throw;
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
  const bool gain = std::isfinite(evaluation.loss) && (!c.best_loss || evaluation.loss < *c.best_loss);
  c.evaluations_without_gain = gain ? 0 : c.evaluations_without_gain + 1;
  if (gain) c.best_loss = evaluation.loss;
  const Json record = {{"step", c.step},
                       {"tokens", c.tokens},
                       {"seconds", c.seconds},
                       {"valid_loss", evaluation.loss},
                       {"valid_ppl", std::exp(evaluation.loss)}};
  record_line(record);
  progress_.note(engine::join_text("step ", c.step, ": valid ", loss_text(evaluation.loss)));
  return gain;
}

void Trainer::save_checkpoint() {
  checkpoints_.wait();  // before there are two copies of everything
  say_trouble();
  try {
    if (metrics_) metrics_->file().sync();  // the checkpoint must not outlive the lines before it
  } catch (const engine::Error& e) {        // no worse than a checkpoint that cannot be written
    progress_.note(std::string("warning: ") + e.what() + "; training goes on");
  }
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
  if (watch_) return;
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

void Trainer::keep_what_was_learned() {
  try {
    save_last_checkpoint();
  } catch (const std::runtime_error& e) {  // on all ranks; one of them has the words
    if (e.what()[0] != '\0') progress_.note(std::string("warning: ") + e.what());
  }
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
    const std::string step = engine::join_text("step ", state_.counters.step + 1, ": ");
    engine::write_file(path, (message.starts_with("step ") ? "" : step) + message + "\n");
  } catch (const engine::Error&) {  // the disk may be what failed
  }
}

/// What the model writes at this point of the run.
void Trainer::log_sample() {
  const int64_t step = state_.counters.step;
  if (config_.log.samples <= 0 || step % config_.log.samples != 0 || !data_.tokenizer) return;
  if (!model_->config().causal() || !leads()) return;
  std::string text;
  try {
    text = sample_text(*model_, *data_.tokenizer, {});
  } catch (const engine::DeviceError&) {
    throw;
  } catch (const engine::Error& e) {  // a tokenizer that has nothing to begin a text with, say
    config_.log.samples = 0;
    progress_.note(std::string("warning: no samples: ") + e.what());
    return;
  }
  const Json record = {{"step", step},
                       {"tokens", state_.counters.tokens},
                       {"seconds", state_.counters.seconds},
                       {"sample", text}};
  record_line(record);
}

/// What holds for all of the run, for its first line.
Json Trainer::constants() const {
  return {{"parameters", models::parameter_count(model_->config())},
          {"flops_per_token", flops_per_token_},
          {"peak_flops", peak_flops_},
          {"kernels", kernels_in_use()},
          {"mfu_formula", kMfuFormula}};
}

/// The run's first line, of whatever kind, also has what holds for all of it.
void Trainer::record_line(Json record) {
  if (!metrics_) return;
  if (metrics_->empty()) record.update(constants());
  metrics_->write(record);
  if (tensorboard_) tensorboard_->write(record);
}

double Trainer::mfu_of(double tokens_per_second) const {
  return peak_flops_ > 0 ? tokens_per_second * flops_per_token_ / peak_flops_ : 0;
}

void Trainer::log_update(const UpdateResult& result) {
  const RunCounters& c = state_.counters;
  const bool watched = config_.log.layers > 0 && c.step % config_.log.layers == 0 && result.applied;
  Json layers;
  if (watched) {
    const double before = engine::now();
    layers = statistics_->after_update();
    shards_->deal_values();
    pause_since(before);
  }
  if (!leads()) return;
  const double elapsed = engine::now() - last_log_time_;
  const double speed = elapsed > 0 ? double(c.tokens - last_log_tokens_) / elapsed : 0;
  progress_.update({.step = c.step,
                    .total_steps = config_.budget.steps,
                    .done = done(),
                    .loss = result.scored ? result.loss : last_update_loss_,
                    .tokens_per_second = speed,
                    .mfu = mfu_of(speed),
                    .elapsed = engine::now() - session_start_,
                    .done_at_start = done_at_start_});
  if (c.step % config_.log.every != 0 && !watched && !spent()) return;
  Json record = {{"step", c.step},
                 {"tokens", c.tokens},
                 {"seconds", c.seconds},
                 {"loss", result.scored ? Json(result.loss) : Json()},
                 {"ppl", result.scored ? Json(std::exp(result.loss)) : Json()},
                 {"lr", result.lr},
                 {"grad_norm", result.norm},
                 {"loss_scale", scaler_ ? scaler_->scale() : 1},
                 {"applied", result.applied},
                 {"tokens_per_second", speed},
                 {"mfu", mfu_of(speed)},
                 {"peak_memory", engine::memory_statistics(engine::Device::cpu).peak}};
  if (watched) record.update(layers);
  record_line(std::move(record));
  if (tensorboard_ && watched) statistics_->write_histograms(*tensorboard_, c.step);
  last_log_time_ = engine::now();
  last_log_tokens_ = c.tokens;
}

}  // namespace train
