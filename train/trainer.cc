// One update and the loop around it; how a run begins stands in trainer_start.cc, what it leaves behind in
// trainer_record.cc. Read first: trainer.h.
#include "train/trainer.h"

#include <algorithm>
#include <cmath>

#include "engine/base/clock.h"
#include "engine/base/crc32c.h"
#include "engine/base/folder.h"
#include "engine/base/log.h"
#include "engine/base/stop.h"
#include "engine/base/text.h"
#include "train/expectation.h"
#include "train/failure.h"
#include "train/signals.h"

namespace train {

using engine::Tensor;

namespace {

constexpr int64_t kCheckWeights = 100;  // updates between comparisons of the weights over the ranks
constexpr double kMostUpdates = 1e18;   // of a budget that is as good as none

}  // namespace

// ------------------------------------------------------------------------------------- budget and schedule

int64_t Trainer::planned_steps() const {
  const BudgetConfig& b = config_.budget;
  const double rows =
      double(config_.data.batch) * double(config_.data.accumulate) * double(communicator_.size());
  int64_t steps = config_.schedule.steps;
  const auto limit = [&](double updates) {
    const int64_t n = int64_t(std::clamp(std::ceil(updates), 1.0, kMostUpdates));
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
    share = std::max(share, double(state_.position.rows) / (b.epochs * double(batches_->rows_per_epoch())));
  return share;
}

double Trainer::learning_rate() const {
  // Updates that the loss scaler skips move no schedule but the ramp, whose update u is to have the same rate
  // in every precision: at high rates skips are many, and it would stay below the rate that it is to reach.
  const bool ramp = config_.schedule.name == ScheduleKind::ramp;
  const int64_t n = ramp ? state_.counters.step : optimizer_->updates();
  const double seconds = config_.budget.seconds;
  return seconds > 0 ? schedule_->rate(n, std::min(1.0, state_.counters.seconds / seconds))
                     : schedule_->rate(n);
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
  if (shown_update_) {        // before those that the optimizer takes, which come to lie in the same arena
    shown_scaler_ = scaler_;  // it has the scale, and what it makes of this norm is forgotten
    const Update::Gradients shown = shown_update_->gradients(micro_batches_, first, word);
    watch_ended_ = shown.agreement.troubles.empty() && !show(shown, lr);
  }
  const Update::Gradients gradients = update_->gradients(micro_batches_, first, word);
  const Agreement& agreement = gradients.agreement;
  stop_ = agreement.stop;
  if (!agreement.troubles.empty()) {
    // Nothing of the step has happened when the data turns out to be damaged: what was learned is kept.
    bool data_alone = true;
    const std::vector<std::string> flags = communicator_.gather(std::string(1, char(data_failed)));
    for (size_t r = 0; r < flags.size(); ++r)
      data_alone = data_alone && (flags[r][0] != 0 || agreement.troubles[r].code == 0);
    if (data_alone) keep_what_was_learned();  // where it is saved already, all ranks find so together
    communicator_.end_if_any(agreement.troubles);
  }
  c.tokens += config_.data.accumulate * config_.data.batch * data_.context * communicator_.size();
  if (watch_ && !shown_update_) watch_ended_ = !show(gradients, lr);
  if (watch_ended_) return {gradients.loss, gradients.norm, lr, false, gradients.scored > 0};
  const bool broken = !scaler_ && !gradients.finite();
  if (broken || gradients.event == ScaleEvent::abort) report_bad_update(gradients.norm, first);
  const bool applied = gradients.event == ScaleEvent::apply;
  if (applied) {
    if (config_.log.layers > 0 && (c.step + 1) % config_.log.layers == 0) {
      const double before = engine::now();
      watch_layers(gradients.unclipped);
      pause_since(before);
    }
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
  return {gradients.loss, gradients.norm, lr, applied, gradients.scored > 0};
}

/// False: the watch ends the run.
bool Trainer::show(const Update::Gradients& g, double lr) const {
  return watch_({state_.counters.step + 1, g.loss, g.norm, lr, g.unclipped, *model_});
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
      keep_what_was_learned();
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

/// Validations, checkpoints and statistics of layers do not count as training time: how often a run looks at
/// itself says nothing about how fast it trains.
void Trainer::pause_since(double before) {
  const double pause = engine::now() - before;
  paused_ += pause;
  last_log_time_ += pause;
}

void Trainer::watch_layers(double factor) {
  shards_->collect_gradients();
  shards_->collect_values();
  statistics_->before_update(factor, micro_batches_.front().tokens);
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
    if (scaler_) throw Divergence(scaler_->abort_message(step, where));
    throw Divergence(engine::join_text(
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
    if (state_.counters.step == begun_at)
      throw;  // nothing has been trained: as any other setting that cannot work
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
  if (config_.device == engine::Device::cpu)
    peak_flops_ = expected.peak_flops;  // of others nobody has measured it
  if (leads()) engine::log_info(expectation_text(expected));
  done_at_start_ = done();
  session_start_ = last_log_time_ = engine::now();
  clock_ = last_checkpoint_time_ = communicator_.from_root(session_start_);
  last_log_tokens_ = c.tokens;
  seconds_before_ = c.seconds;
  paused_ = 0;
  const auto stopped = [&] { return stop_ || (communicator_.size() == 1 && signals.raised()); };
  // A validation that a signal cut off is made up for first, so that the run has every one that is due.
  if (validation_due() && c.validated_at != c.step && !spent()) validate();
  while (!spent() && !stalled() && !stopped()) {
    const UpdateResult result = update();
    if (watch_ended_) break;
    log_update(result);
    if (result.scored) last_update_loss_ = result.loss;
    const double before = engine::now();
    const bool best = validation_due() && validate() && config_.checkpoint.keep_best > 0;
    const bool by_step = config_.checkpoint.every > 0 && c.step % config_.checkpoint.every == 0;
    const bool by_clock =
        config_.checkpoint.seconds > 0 && clock_ - last_checkpoint_time_ >= config_.checkpoint.seconds;
    // Weights that give no number are not kept in place of others: the loss scaler may yet give up.
    if ((best || by_step || by_clock) && !spent() && std::isfinite(last_update_loss_)) save_checkpoint();
    log_sample();
    say_trouble();
    pause_since(before);
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
  if (end != RunEnd::interrupted && !watch_ended_) check_outcome();
  save_last_checkpoint();
  communicator_.agree([&] {
    if (metrics_) metrics_->file().finish();
    if (tensorboard_) tensorboard_->file().finish();
  });
  return end;
}

/// What a run has come to must be a model. (f16 alone can get here without: its scaler bears some updates.)
void Trainer::check_outcome() {
  const RunCounters& c = state_.counters;
  const bool validated = c.validated_at == c.step && c.last_loss;
  if (std::isfinite(validated ? *c.last_loss : last_update_loss_)) return;
  progress_.finish();
  checkpoints_.wait();
  communicator_.agree([&] {
    throw Divergence(
        engine::join_text("step ", c.step, ": ", validated ? "the loss on validation data" : "the loss",
                          " is not a number at the run's end. Lower optim.lr, or use precision bf16 or f32",
                          newest_saved() ? "" : "; this state is not saved, checkpoints are intact"));
  });
}

bool Trainer::validation_due() const {
  const int64_t step = state_.counters.step;
  return config_.eval.every > 0 && data_.validation && step > 0 && step % config_.eval.every == 0;
}

bool Trainer::stalled() const {
  return config_.eval.patience > 0 && state_.counters.evaluations_without_gain >= config_.eval.patience;
}

}  // namespace train
