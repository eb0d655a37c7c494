// Read first: fine_tune_run.h.
#include "train/finetune/fine_tune_run.h"

#include <cmath>
#include <cstdio>

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/log.h"
#include "engine/base/stop.h"
#include "engine/base/text.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "train/evaluation/json_numbers.h"
#include "train/failure.h"

namespace train {

using engine::check;
using engine::Json;
using engine::now;

namespace {

std::string result_path(const std::string& folder) { return folder + "/result.json"; }

// Which evaluation a run is judged by: the best one, the later one on a tie as fairseq has it; or the last.
const Json* selected(const std::vector<Json>& evaluations, const std::string& epoch_by) {
  const Json* best = nullptr;
  for (const Json& e : evaluations) {
    const bool wins = best == nullptr || epoch_by.empty() ||
                      (e[epoch_by].is_number() && !beats((*best)[epoch_by], e[epoch_by]));
    if (wins) best = &e;
  }
  return best;
}

// While it lives, the model has the averaged weights, where there is an average: those that people will use.
class AverageInPlace {
 public:
  AverageInPlace(Shards& shards, const engine::Tensor& average) : shards_(shards) {
    if (!average.defined()) return;
    raw_ = shards.own_values();
    shards.set_values(average);
  }
  ~AverageInPlace() {
    if (raw_.defined()) shards_.set_values(raw_);
  }
  AverageInPlace(const AverageInPlace&) = delete;
  AverageInPlace& operator=(const AverageInPlace&) = delete;

 private:
  Shards& shards_;
  engine::Tensor raw_;
};

}  // namespace

Json finished_result(const std::string& folder, double lr, int64_t seed) {
  const std::string path = result_path(folder);
  if (!engine::file_exists(path)) return {};
  Json result = engine::read_json(path);
  const auto is = [&](const char* key, auto&& holds) {
    check(result.is_object() && result.contains(key) && holds(result[key]), path, ": damaged (", key,
          "); remove the folder, and --resume trains the run again");
  };
  is("lr", [&](const Json& v) { return v.is_number() && v.get<double>() == lr; });
  is("seed", [&](const Json& v) { return v.is_number_integer() && v.get<int64_t>() == seed; });
  is("status", [](const Json& v) { return v == "done" || v == "failed"; });
  is("dev", [](const Json& v) { return v.is_null() || v.is_object(); });
  for (const char* key : {"updates", "epoch", "value"})
    is(key, [](const Json& v) { return v.is_null() || v.is_number(); });
  return result;
}

FineTuneRun::FineTuneRun(const FineTuneSetup& setup, double lr, int64_t seed, const std::string& folder)
    : setup_(setup),
      config_(run_config(setup.request, int64_t(setup.data.train.rows.size()), lr, seed)),
      folder_(folder),
      dir_(folder, RunStart::resume),
      per_epoch_(updates_per_epoch(setup.request, int64_t(setup.data.train.rows.size()))),
      progress_(config_.log.every) {
  const data::GlueTask& task = setup.request.task;
  model_ = models::make_classifier(*setup.source,
                                   {.classes = std::max<int64_t>(1, int64_t(task.classes.size())),
                                    .names = task.classes,
                                    .init = setup.head,
                                    .seed = uint64_t(seed)},
                                   setup.precision);
  communicator_.set_options({.timeout = config_.parallel.timeout, .check = config_.parallel.check});
  shards_ = std::make_unique<Shards>(model_->parameters(), communicator_, config_.parallel);
  optimizer_ = std::make_unique<Optimizer>(model_->parameters(), config_.optim);
  if (config_.precision == PrecisionKind::f16) scaler_.emplace(config_.loss_scale, 1, 1);
  update_ = std::make_unique<Update>(
      *model_, *optimizer_, *shards_, scaler_ ? &*scaler_ : nullptr,
      UpdateOptions{
          .dropout = {config_.dropout.residual, config_.dropout.attention, config_.dropout.activation},
          .head_dropout = config_.dropout.head,
          .seed = uint64_t(seed),
          .checkpointing = config_.activation_checkpointing,
          .clip = config_.optim.clip,
          .ema_decay = config_.ema.decay,
          .sum = config_.parallel.sum});
  schedule_ = std::make_unique<Schedule>(config_.schedule, lr, config_.budget.steps);
  if (config_.ema.decay > 0) {
    state_.average = shards_->zeros();
    state_.average.copy_from(shards_->own_values());
  }
  if (const auto checkpoint = checkpoint_to_resume(folder)) {
    restore_checkpoint(checkpoint->folder, *model_, *optimizer_, state_, scaler_ ? &*scaler_ : nullptr,
                       *shards_);
    engine::log_info(run_name(lr, seed), ": resuming at update ", step());
  }
  statistics_ = std::make_unique<LayerStatistics>(*model_);
  metrics_ = std::make_unique<MetricsLog>(dir_.metrics_path(), step());
  if (step() > 0)
    for (Json& line : read_metrics(dir_.metrics_path()))
      if (line.contains("valid_loss") && line["step"].get<int64_t>() <= step())
        evaluations_.push_back(std::move(line));
  Json config = to_json(setup.request);
  config["lr"] = lr, config["seed"] = seed;
  config["config"] = config_json(config_);
  dir_.write_config(config);
  if (!config_.log.tensorboard) return;
  tensorboard_ = std::make_unique<EventWriter>(folder, step() > 0 ? step() + 1 : 0);
  tensorboard_->hyperparameters(config_json(config_));
}

FineTuneRun::~FineTuneRun() = default;

// --------------------------------------------------------------------------------------------- training

double FineTuneRun::open_budgets_done() const {
  const BudgetConfig& b = config_.budget;
  const RunCounters& c = state_.counters;
  return std::max(b.tokens > 0 ? double(c.tokens) / double(b.tokens) : 0,
                  b.seconds > 0 ? c.seconds / b.seconds : 0);
}

double FineTuneRun::done() const {
  const double of_updates = updates() > 0 ? double(step()) / double(updates()) : 0;
  return std::max(of_updates, open_budgets_done());
}

double FineTuneRun::learning_rate() const {
  // As in Trainer: skipped updates move the ramp alone.
  const int64_t n = config_.schedule.name == ScheduleKind::ramp ? step() : optimizer_->updates();
  const bool counted = config_.budget.tokens == 0 && config_.budget.seconds == 0;
  return counted ? schedule_->rate(n) : schedule_->rate(n, std::min(1.0, open_budgets_done()));
}

FineTuneRun::Step FineTuneRun::update() {
  RunCounters& c = state_.counters;
  const int64_t rows = int64_t(setup_.data.train.rows.size()), batch = config_.data.batch;
  const int64_t epoch = c.step / per_epoch_, first = c.step % per_epoch_ * batch;
  std::vector<int64_t> which;
  for (int64_t i = first; i < std::min(first + batch, rows); ++i)
    which.push_back(row_of(config_, epoch, rows, i));
  const MicroBatch micro[] = {glue_batch(model_->config(), setup_.data, setup_.data.train, which)};
  const double lr = learning_rate();
  const Update::Gradients gradients = update_->gradients(micro, c.step);
  const bool broken = !scaler_ && !gradients.finite();
  if (broken || gradients.event == ScaleEvent::abort) {
    progress_.finish();
    const std::string where = update_->find_bad_number(micro, c.step);
    if (scaler_) throw Failure(scaler_->abort_message(c.step + 1, where));
    throw Failure(engine::join_text("update ", c.step + 1, ": the gradient norm is ",
                                    std::isinf(gradients.norm) ? "infinite" : "not a number",
                                    ". First bad number: ", where));
  }
  const bool applied = gradients.event == ScaleEvent::apply;
  const int64_t layers = config_.log.layers;
  const bool watched = applied && layers > 0 && (c.step + 1) % layers == 0;
  const auto aside = [&](const auto& look) {  // does not count as training time
    const double before = now();
    look();
    paused_ += now() - before;
  };
  if (watched) aside([&] { statistics_->before_update(gradients.unclipped, micro[0].tokens); });
  if (applied) update_->apply(gradients, lr, state_.average);
  layers_ = {};
  if (watched) aside([&] { layers_ = statistics_->after_update(); });
  ++c.step;
  c.applied = optimizer_->updates();
  c.tokens += micro[0].tokens.shape.numel();
  return {gradients.loss, gradients.norm, lr, applied};
}

bool FineTuneRun::run() {
  if (!finished_result(folder_, config_.optim.lr, config_.seed).is_null()) return true;
  Json end;
  const int64_t begun_at = step();
  try {
    if (!train_to_the_end()) return false;
    end = result("done", "");
  } catch (const engine::DeviceError& e) {
    if (step() == begun_at) throw;  // as any other setting that cannot work
    progress_.finish();
    throw Failure(engine::join_text(run_name(config_.optim.lr, config_.seed), ": update ", step() + 1, ": ",
                                    e.what(), "; checkpoints are intact, --resume goes on from the newest"));
  } catch (const Failure& failure) {
    engine::log_warning(run_name(config_.optim.lr, config_.seed), ": ", failure.what());
    end = result("failed", failure.what());
  }
  progress_.finish();
  metrics_->file().finish();
  if (tensorboard_) tensorboard_->file().finish();
  engine::write_file(result_path(folder_), engine::json_text(end, 1) + "\n");
  engine::remove_tree(folder_ + "/checkpoints");  // nothing goes on from here
  return true;
}

bool FineTuneRun::train_to_the_end() {
  RunCounters& c = state_.counters;
  started_ = last_checkpoint_ = now();
  seconds_before_ = c.seconds;
  done_at_start_ = done();
  for (;;) {
    if (evaluation_due() && !evaluated()) {
      if (!evaluate()) break;
      if (!ends_here()) save_checkpoint();
    }
    if (ends_here()) return true;
    if (engine::stop_requested()) break;
    const Step made = update();
    c.seconds = seconds_before_ + now() - started_ - paused_;
    log_update(made);
    const CheckpointConfig& when = config_.checkpoint;
    const bool wanted =
        step() % when.every == 0 || (when.seconds > 0 && now() - last_checkpoint_ >= when.seconds);
    if (wanted && !evaluation_due()) save_checkpoint();  // there is one after each evaluation
  }
  save_checkpoint();
  return false;
}

bool FineTuneRun::evaluation_due() const {
  const int64_t every = config_.eval.every;
  return step() > 0 && (step() % per_epoch_ == 0 || spent() || (every > 0 && step() % every == 0));
}

bool FineTuneRun::evaluated() const {
  return !evaluations_.empty() && evaluations_.back()["step"].get<int64_t>() == step();
}

const std::string& FineTuneRun::judged_by() const {
  return setup_.request.epoch_by.empty() ? setup_.request.select : setup_.request.epoch_by;
}

// Early stop: so many evaluations in a row without a new best; as good is none.
bool FineTuneRun::stalled() const {
  int64_t without_gain = 0;
  Json best;
  for (const Json& e : evaluations_) {
    const bool gain = beats(e[judged_by()], best);
    if (gain) best = e[judged_by()];
    without_gain = gain ? 0 : without_gain + 1;
  }
  return config_.eval.patience > 0 && without_gain >= config_.eval.patience;
}

Json FineTuneRun::development_metrics() const {
  const data::GlueTask& task = setup_.request.task;
  const auto metrics = [&](const GlueRows& rows) {
    return glue_metrics(task, setup_.data, rows, glue_outputs(*model_, setup_.data, rows));
  };
  Json out = metrics(setup_.data.dev);
  const GlueRows& other = setup_.data.dev_mm;
  if (task.name == "mnli") out["accuracy_mm"] = other.rows.empty() ? Json() : metrics(other)["accuracy"];
  return out;
}

// False: a signal cut it off; it is made up for by the next process.
bool FineTuneRun::evaluate() {
  const double before = now();
  const data::GlueTask& task = setup_.request.task;
  const AverageInPlace average(*shards_, state_.average);
  Json dev;
  try {
    dev = development_metrics();
  } catch (const engine::Stopped&) {
    return false;
  }
  Json line = {{"step", step()},
               {"tokens", state_.counters.tokens},
               {"seconds", state_.counters.seconds},
               {"epoch", double(step()) / double(per_epoch_)},
               {"valid_loss", dev["loss"]}};
  line.update(dev);
  line.erase("loss");  // of training lines
  evaluations_.push_back(line);
  const bool wanted = selected(evaluations_, setup_.request.epoch_by) == &evaluations_.back();
  // First the weights: a process that ends between the two evaluates again.
  if (setup_.request.epoch_by.empty() ? ends_here() : wanted) keep_model();
  record(line);
  std::string text;
  for (const std::string& name : metrics_of(task))
    if (line.contains(name) && line[name].is_number()) {
      char number[64];
      std::snprintf(number, sizeof number, "  %s %.4f", name.c_str(), line[name].get<double>());
      text += number;
    }
  char head[96];
  std::snprintf(head, sizeof head, "epoch %.4g, update %lld: dev loss %.4f",
                double(step()) / double(per_epoch_), (long long)step(),
                line["valid_loss"].is_number() ? line["valid_loss"].get<double>() : NAN);
  progress_.note(head + text);
  RunCounters& c = state_.counters;
  c.validated_at = step();
  c.last_loss.reset();
  if (dev["loss"].is_number()) c.last_loss = dev["loss"].get<double>();
  if (c.last_loss && (!c.best_loss || *c.last_loss < *c.best_loss)) c.best_loss = c.last_loss;
  paused_ += now() - before;
  return true;
}

void FineTuneRun::keep_model() {
  models::save_model(*model_, folder_ + "/model", engine::DType::f32,
                     {{"tokenizer.json", setup_.tokenizer->to_json()}});
}

void FineTuneRun::save_checkpoint() {
  const double before = now();
  metrics_->file().sync();
  write_snapshot(
      take_snapshot(*model_, *optimizer_, state_, scaler_ ? &*scaler_ : nullptr, *shards_, "", folder_),
      config_.checkpoint.keep, config_.checkpoint.keep_best);
  last_checkpoint_ = now();
  paused_ += now() - before;
}

void FineTuneRun::log_update(const Step& made) {
  const RunCounters& c = state_.counters;
  const double elapsed = c.seconds - seconds_before_;
  progress_.update({.step = step(),
                    .total_steps = updates(),
                    .done = done(),
                    .loss = made.loss,
                    .perplexity = false,
                    .tokens_per_second = c.seconds > 0 ? double(c.tokens) / c.seconds : 0,
                    .elapsed = elapsed,
                    .done_at_start = done_at_start_});
  const bool watched = layers_.is_object();
  if (step() % config_.log.every != 0 && !spent() && step() != 1 && !watched) return;
  Json line = {{"step", step()},
               {"tokens", c.tokens},
               {"seconds", c.seconds},
               {"epoch", double(step()) / double(per_epoch_)},
               {"loss", number_or_null(made.loss)},
               {"lr", made.lr},
               {"grad_norm", number_or_null(made.norm)},
               {"loss_scale", scaler_ ? scaler_->scale() : 1},
               {"applied", made.applied}};
  if (watched) line.update(layers_);
  record(line);
  if (tensorboard_ && watched) statistics_->write_histograms(*tensorboard_, step());
}

void FineTuneRun::record(const Json& line) {
  metrics_->write(line);
  if (tensorboard_) tensorboard_->write(line);
}

Json FineTuneRun::result(const char* status, const std::string& error) const {
  const FineTuneRequest& request = setup_.request;
  Json out = {{"lr", config_.optim.lr},
              {"seed", config_.seed},
              {"status", status},
              {"updates", step()},
              {"epoch", nullptr},
              {"dev", nullptr},
              {"select", request.select},
              {"value", nullptr},
              {"seconds", state_.counters.seconds}};
  if (!error.empty()) out["error"] = error;
  const Json* best = selected(evaluations_, request.epoch_by);
  if (best == nullptr || !error.empty()) return out;
  Json dev = {{"rows", (*best)["rows"]}, {"loss", (*best)["valid_loss"]}};
  for (const std::string& name : metrics_of(request.task)) dev[name] = (*best)[name];
  out["epoch"] = (*best)["epoch"];
  out["dev"] = dev;
  out["value"] = dev[request.select];
  return out;
}

}  // namespace train
