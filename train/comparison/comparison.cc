// Read first: comparison.h.
#include "train/comparison/comparison.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <set>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "engine/base/sha256.h"
#include "train/comparison/processes.h"
#include "train/evaluation/json_numbers.h"

namespace train {

using engine::check;
using engine::Json;

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
constexpr int kExtensions = 8;
constexpr int64_t kTimedUpdates = 60;

std::string config_path(const std::string& out, const ComparedRun& run) {
  std::string name = run.folder().substr(5);
  std::replace(name.begin(), name.end(), '/', '.');
  return out + "/configs/" + name + ".json";
}

}  // namespace

Comparison::Comparison(const CompareRequest& request, const CompareWork& work)
    : request_(request), work_(work), lock_(work.out, RunStart::resume), rates_known_(request.rates.empty()) {
  const std::string plan = work.out + "/plan.json";
  if (engine::file_exists(plan)) {
    check(work.resume, work.out,
          ": already holds a comparison; go on with it by --resume, or give another --out");
    const Json before = engine::read_json(plan);
    check(before.is_object() && before.contains("request") && before["request"].is_object(), plan,
          ": is no plan of a comparison");
    const std::string key = changed_key(before["request"], to_json(request));
    check(key.empty(), work.out, ": holds another comparison: ", key, " differs");
  } else {
    for (const char* part : {"config.json", "checkpoints", "compare.json", "report.html", "runs", "configs"})
      check(!engine::file_exists(work.out + "/" + part), work.out, ": something else stands there (", part,
            "); give another --out");
  }
  // Before a sweep has chosen, times are measured at the rate that is the likeliest to train.
  const std::vector<double>& rates = request_.rates;
  for (const std::string& placement : request_.placements)
    rates_[placement] =
        rates.empty() ? request_.config.optim.lr : *std::min_element(rates.begin(), rates.end());
  write_plan();
}

void Comparison::write_plan() const {
  std::vector<ComparedRun> runs;
  for (const double lr : request_.rates)
    for (const std::string& placement : request_.placements)
      for (const int64_t seed : request_.rate_seeds)
        runs.push_back({placement, lr, seed, request_.steps, true});
  // Points beyond the grid, as they are decided.
  for (const FinishedRun& f : sweep_)
    if (std::find(runs.begin(), runs.end(), f.run) == runs.end()) runs.push_back(f.run);
  for (const std::string& placement : request_.placements)
    for (const ComparedRun& run : claim_runs(placement)) runs.push_back(run);
  Json list = Json::array();
  for (const ComparedRun& run : runs) {
    const Json config = config_json(config_of(request_, run));
    // What the sweep and the measurement of times will find; the plan is written again when they have.
    const bool open_rate = !run.sweep && !rates_known_;
    const bool open_steps =
        run.steps == 0 || (!run.sweep && request_.match == Match::time &&
                           run.placement != request_.baseline && updates_.count(run.placement) == 0);
    const bool open = open_rate || open_steps;
    list.push_back({{"placement", run.placement},
                    {"purpose", run.sweep ? "sweep" : "claim"},
                    {"lr", open_rate ? Json() : Json(run.lr)},
                    {"seed", run.seed},
                    {"updates", open_steps ? Json() : Json(run.steps)},
                    {"folder", open_rate ? Json() : Json(run.folder())},
                    {"hash", open ? Json() : Json(engine::sha256_hex(engine::json_text(config)))},
                    {"config", open ? Json() : config}});
  }
  engine::write_file(
      work_.out + "/plan.json",
      engine::json_text(Json({{"version", NORMLAB_VERSION}, {"request", to_json(request_)}, {"runs", list}}),
                        1) +
          "\n");
}

bool Comparison::run() {
  if (request_.config.budget.seconds > 0 && !budget_in_updates()) return false;
  if (!request_.rates.empty() && !tune()) return false;
  return train_claim();
}

// ---------------------------------------------------------------------------------------------- training

// Where children run: on one of the devices each, or anywhere.
std::vector<std::string> Comparison::slots(int64_t most) const {
  std::vector<std::string> out(size_t(work_.devices.empty() ? std::min(work_.jobs, most) : 0));
  for (const std::string& device : work_.devices) out.push_back("CUDA_VISIBLE_DEVICES=" + device);
  if (int64_t(out.size()) > most) out.resize(size_t(most));
  return out;
}

// Brings runs to update `until`; at its last update a run is done. A child that fails is begun once more,
// from its checkpoint. False: interrupted. Error: one was refused; nothing is decided of it.
bool Comparison::train(const std::vector<ComparedRun>& runs, int64_t until) {
  std::vector<ComparedRun> open;
  for (const ComparedRun& run : runs) {
    const RunResult result = read_result(path(run));
    const bool reached = !result.curve.empty() && result.curve.back().first >= until && until < run.steps;
    if (result.status == RunStatus::open && !reached) open.push_back(run);
  }
  for (int attempt = 1; attempt <= 2 && !open.empty(); ++attempt) {
    std::vector<ChildCommand> commands;
    const int64_t threads = std::max<int64_t>(1, work_.threads / work_.jobs);
    for (const ComparedRun& run : open) {
      const std::string config = config_path(work_.out, run);
      engine::make_directories(work_.out + "/configs");
      engine::make_directories(path(run));
      engine::write_file(config, engine::json_text(config_json(config_of(request_, run)), 1) + "\n");
      commands.push_back({{"train", "--config", config, "--set", "budget.steps=" + std::to_string(until),
                           "--set", "threads=" + std::to_string(threads), "--out", path(run), "--resume"},
                          path(run) + "/log.txt"});
    }
    for (const ComparedRun& run : open) wait_until_free(path(run));
    engine::log_info("training ", open.size(), " runs to update ", until, attempt > 1 ? " once more" : "");
    const std::vector<ChildEnd> ends = run_children(commands, slots(int64_t(commands.size())));
    std::vector<ComparedRun> failed;
    for (size_t i = 0; i < open.size(); ++i)
      check(ends[i] != ChildEnd::refused, path(open[i]), ": ", last_words(path(open[i]) + "/log.txt"));
    for (size_t i = 0; i < open.size(); ++i) {
      if (ends[i] == ChildEnd::done && until == open[i].steps)
        write_outcome(path(open[i]), RunStatus::done, until);
      if (ends[i] == ChildEnd::failed) failed.push_back(open[i]);
    }
    if (std::find(ends.begin(), ends.end(), ChildEnd::interrupted) != ends.end()) return false;
    open = failed;
  }
  for (const ComparedRun& run : open) {
    engine::log_warning(path(run), ": failed; ", path(run), "/log.txt says why");
    write_outcome(path(run), RunStatus::failed, read_result(path(run)).updates);
  }
  return true;
}

// ------------------------------------------------------------------------------------- learning rates

namespace {

std::optional<double> loss_at(const RunResult& result, int64_t update) {
  for (const auto& [step, loss] : result.curve)
    if (step == update) return loss;
  return {};
}

}  // namespace

// Rates are judged by their mean over the seeds, as they are chosen in the end: run by run, every rate might
// lose one of its seeds, and none would be left to choose.
void Comparison::stop_hopeless(const std::vector<ComparedRun>& runs, int64_t until) {
  for (const std::string& placement : request_.placements) {
    std::map<double, double> means;
    double best = kInfinite;
    for (const double lr : grid_of(placement)) {
      double sum = 0;
      for (const int64_t seed : request_.rate_seeds)
        sum += loss_at(read_result(path({placement, lr, seed, request_.steps, true})), until)
                   .value_or(kInfinite);
      means[lr] = sum / double(request_.rate_seeds.size());
      best = std::min(best, means[lr]);
    }
    for (const ComparedRun& run : runs)
      if (run.placement == placement && means.at(run.lr) > best + request_.stop_margin &&
          read_result(path(run)).status == RunStatus::open)
        write_outcome(path(run), RunStatus::stopped, until);
  }
}

bool Comparison::sweep_points(const std::vector<std::pair<std::string, double>>& points) {
  std::vector<ComparedRun> runs;
  for (const auto& [placement, lr] : points)
    for (const int64_t seed : request_.rate_seeds) {
      runs.push_back({placement, lr, seed, request_.steps, true});
      sweep_.push_back({runs.back(), {}});
    }
  write_plan();
  for (const int quarter : {1, 2, 3, 4}) {
    const int64_t until = quarter == 4 ? request_.steps : request_.steps * quarter / 4;
    if (until < 1 || (quarter < 4 && !request_.stop)) continue;
    if (!train(runs, until)) return false;
    if (quarter < 4) stop_hopeless(runs, until);
  }
  for (FinishedRun& finished : sweep_) finished.result = read_result(path(finished.run));
  return true;
}

std::vector<double> Comparison::grid_of(const std::string& placement) const {
  std::set<double> rates;
  for (const FinishedRun& f : sweep_)
    if (f.run.placement == placement) rates.insert(f.run.lr);
  return {rates.begin(), rates.end()};
}

// Mean of the final losses over the sweep's seeds; infinite when one of them failed or was stopped.
double Comparison::sweep_loss(const std::string& placement, double lr) const {
  double sum = 0;
  for (const FinishedRun& f : sweep_) {
    if (f.run.placement != placement || f.run.lr != lr) continue;
    sum += f.result.status == RunStatus::done ? f.result.loss.value_or(kInfinite) : kInfinite;
  }
  return sum / double(request_.rate_seeds.size());
}

bool Comparison::at_edge(const std::string& placement) const {
  const std::vector<double> grid = grid_of(placement);
  return !grid.empty() && (rates_.at(placement) == grid.front() || rates_.at(placement) == grid.back());
}

bool Comparison::tune() {
  std::vector<std::pair<std::string, double>> points;
  for (const std::string& placement : request_.placements)
    for (const double lr : request_.rates) points.emplace_back(placement, lr);
  for (int round = 0; !points.empty(); ++round) {
    if (!sweep_points(points)) return false;
    points.clear();
    for (const std::string& placement : request_.placements) {
      const std::vector<double> grid = grid_of(placement);
      double& best = rates_[placement];
      best = grid.front();
      for (const double lr : grid)
        if (sweep_loss(placement, lr) < sweep_loss(placement, best)) best = lr;
      if (!request_.extend || round >= kExtensions || !at_edge(placement)) continue;
      points.emplace_back(placement, best == grid.back() ? 2 * best : best / 2);
    }
  }
  for (const std::string& placement : request_.placements) {
    char rate[32];
    std::snprintf(rate, sizeof rate, "%.6g", rates_[placement]);
    if (at_edge(placement))
      engine::log_warning(placement, ": the best learning rate ", rate,
                          " is at the edge of those tried: try more",
                          request_.extend ? "" : ", or give --extend");
    else
      engine::log_info(placement, ": best learning rate ", rate);
  }
  rates_known_ = true;
  write_plan();
  return true;
}

// ------------------------------------------------------------------------------------------ the claim

std::vector<ComparedRun> Comparison::claim_runs(const std::string& placement) const {
  const auto updates = updates_.find(placement);
  const int64_t steps = updates == updates_.end() ? request_.steps : updates->second;
  std::vector<ComparedRun> out;
  for (int64_t seed = 1; seed <= request_.seeds; ++seed)
    out.push_back({placement, rates_.at(placement), seed, steps, false});
  return out;
}

bool Comparison::train_claim() {
  const std::vector<ComparedRun> baseline = claim_runs(request_.baseline);
  if (request_.match == Match::time && (!train(baseline, request_.steps) || !equal_time())) return false;
  std::vector<ComparedRun> others;
  for (const std::string& placement : request_.placements)
    if (placement != request_.baseline)
      for (const ComparedRun& run : claim_runs(placement)) others.push_back(run);
  if (request_.match == Match::time) {
    for (const ComparedRun& run : others)
      if (!train({run}, run.steps)) return false;
  } else {
    std::vector<ComparedRun> all = baseline;
    all.insert(all.end(), others.begin(), others.end());
    if (!train(all, request_.steps)) return false;
  }
  claim_.clear();
  for (const std::string& placement : request_.placements)
    for (const std::vector<ComparedRun>* group : {&baseline, &std::as_const(others)})
      for (const ComparedRun& run : *group)
        if (run.placement == placement) claim_.push_back({run, read_result(path(run))});
  return true;
}

namespace {

/// updates.json: budgets that were measured, by placement.
class KnownUpdates {
 public:
  explicit KnownUpdates(const std::string& out)
      : file_(out + "/updates.json"),
        known_(engine::file_exists(file_) ? engine::read_json(file_) : Json::object()) {
    check(known_.is_object(), file_, ": expected an object, got ", known_.type_name());
  }
  std::optional<int64_t> of(const std::string& placement) const {
    if (!known_.contains(placement)) return {};
    return engine::json_int(known_[placement], file_ + ": " + placement, 1, int64_t(1) << 40);
  }
  void keep(const std::string& placement, int64_t updates) {
    known_[placement] = updates;
    engine::write_file(file_, engine::json_text(known_, 1) + "\n");
  }

 private:
  std::string file_;
  Json known_;
};

}  // namespace

// A budget in seconds as updates of the baseline, from here on the budget of all. False: interrupted.
bool Comparison::budget_in_updates() {
  KnownUpdates known(work_.out);
  std::optional<int64_t> updates = known.of(request_.baseline);
  if (!updates) {
    updates = updates_in(request_.config.budget.seconds, request_.baseline);
    if (!updates) return false;
    check(*updates > 0, "--match time: the baseline ", request_.baseline,
          " cannot be trained, so there is no time to match");
    if (request_.steps > 0) updates = std::min(*updates, request_.steps);
    known.keep(request_.baseline, *updates);
  }
  request_.steps = *updates;
  write_plan();
  return true;
}

// The budget of the others: as many of their updates as fit the baseline's training time. Measured in a short
// run of each, decided before its own, and kept in the folder. False: interrupted.
bool Comparison::equal_time() {
  double each = 0;  // seconds of an update
  int64_t done = 0;
  for (const ComparedRun& run : claim_runs(request_.baseline))
    if (const RunResult result = read_result(path(run)); result.status == RunStatus::done)
      each += result.seconds / double(std::max<int64_t>(1, result.updates)), ++done;
  check(done > 0, "--match time: no run of the baseline ", request_.baseline,
        " came to its end, so there is no time to match");
  const double seconds = each / double(done) * double(request_.steps);
  KnownUpdates known(work_.out);
  for (const std::string& placement : request_.placements) {
    if (placement == request_.baseline) continue;
    std::optional<int64_t> updates = known.of(placement);
    if (!updates) {
      updates = updates_in(seconds, placement);
      if (!updates) return false;
      if (*updates == 0) {  // it cannot be trained: neither can its runs
        engine::log_warning("all runs of ", placement, " count as failed");
        for (const ComparedRun& run : claim_runs(placement)) write_outcome(path(run), RunStatus::failed, 0);
        continue;
      }
      known.keep(placement, *updates);
    }
    updates_[placement] = *updates;
  }
  write_plan();
  return true;
}

// By a short run, which is begun once more if it dies. 0: it fails. Nothing: interrupted.
std::optional<int64_t> Comparison::updates_in(double seconds, const std::string& placement) {
  ComparedRun timed = claim_runs(placement).front();
  timed.steps = kTimedUpdates;
  TrainConfig config = config_of(request_, timed);
  config.eval.every = 0;
  // Logs as the baseline's own run does, but often enough to measure between two lines.
  config.log.every = std::min<int64_t>(config.log.every, 10);
  config.log.layers = config_of(request_, claim_runs(request_.baseline).front()).log.layers;
  const std::string folder = work_.out + "/timing/" + folder_name(placement);
  engine::make_directories(folder);
  engine::write_file(folder + ".json", engine::json_text(config_json(config), 1) + "\n");
  ChildCommand command = {{"train", "--config", folder + ".json", "--set",
                           "threads=" + std::to_string(work_.threads), "--out", folder, "--resume"},
                          folder + "/log.txt"};
  wait_until_free(folder);
  ChildEnd end = run_children({command}, slots(1))[0];
  if (end == ChildEnd::failed) end = run_children({command}, slots(1))[0];
  check(end != ChildEnd::refused, folder, ": ", last_words(command.log));
  if (end == ChildEnd::interrupted) return {};
  if (end == ChildEnd::done) return std::max<int64_t>(1, int64_t(seconds / seconds_per_update(folder)));
  engine::log_warning(folder, ": failed; ", command.log, " says why");
  return 0;
}

}  // namespace train
