// Read first: step_bench.h.
#include "train/bench/step_bench.h"

#include <sys/resource.h>

#include <algorithm>
#include <optional>

#include "engine/base/clock.h"
#include "engine/base/text.h"
#include "engine/bench/gemm_bench.h"
#include "engine/core/allocator.h"
#include "models/flops.h"
#include "train/bench/comm_bench.h"
#include "train/bench/step_training.h"
#include "train/rank_plan.h"

namespace train {

using engine::BenchResult;
using engine::Tensor;
using models::Objective;

namespace {

constexpr double kGiB = 1 << 30;

double peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return double(usage.ru_maxrss) * 1024;
}

}  // namespace

const std::vector<StepWork>& step_works() {
  static const std::vector<StepWork> table = {
      {"gpt-b4", "GPT-2 124M, 4 x 256 tokens", 12, 768, 12, 50304, Objective::clm, 4, 256},
      {"gpt-b1", "GPT-2 124M, 1 x 1024 tokens", 12, 768, 12, 50304, Objective::clm, 1, 1024},
      {"gpt-b16", "GPT-2 124M, 16 x 1024 tokens", 12, 768, 12, 50304, Objective::clm, 16, 1024},
      {"roberta", "RoBERTa-base, 4 x 512 tokens, 15 % masked", 12, 768, 12, 50304, Objective::mlm, 4, 512},
      {"small", "6 layers of width 384, 16 x 256 tokens", 6, 384, 6, 8192, Objective::clm, 16, 256},
      {"tiny", "2 layers of width 64, 2 x 32 tokens: a try", 2, 64, 2, 256, Objective::clm, 2, 32},
  };
  return table;
}

const StepWork& find_step_work(const std::string& name) {
  std::vector<std::string> names;
  for (const StepWork& work : step_works()) {
    if (work.name == name) return work;
    names.push_back(work.name);
  }
  engine::fail("unknown work \"", name.substr(0, 40), "\"", engine::near_hint(name, names));
}

std::vector<BenchResult> bench_step(const StepWork& work, const StepOptions& options) {
  const bool on_cpu = options.device == engine::Device::cpu;
  const double peak_flops = on_cpu ? 1e9 * engine::multiply_add_peak(options.precision) : 0, start = engine::now();
  nn::Precision precision = nn::Precision::of(options.precision);
  precision.device = options.device;
  engine::Rng rng{1};
  Training training(work, options.norms, precision);
  const MicroBatch batch = random_batch(work, training.config(), rng);
  training.step(batch);
  const double first = engine::now() - start;
  std::optional<Training> other;
  if (!options.against.empty()) other.emplace(work, options.against, precision).step(batch);

  std::vector<StepTimes> samples;
  std::vector<double> other_seconds, ratios;
  for (int64_t i = 0; i < options.steps; ++i) {
    samples.push_back(training.step(batch));
    if (!other) continue;
    other_seconds.push_back(other->step(batch).total());
    ratios.push_back(samples.back().total() / other_seconds.back());
  }
  const models::ModelConfig& config = training.config();
  const auto middle = [&](auto part) {
    std::vector<double> values;
    for (const StepTimes& s : samples) values.push_back(part(s));
    return engine::median(values);
  };
  const double step = middle([](const StepTimes& s) { return s.total(); });
  const double speed = double(work.rows * work.length) / step;
  const double most = peak_flops / models::flops_per_token(config, work.length).total();
  const double planned =
      models::memory_plan(config, work.rows, work.length, int(engine::size_of(options.precision))).total() /
      kGiB;
  const auto part = [&](const char* name, double seconds) {
    return BenchResult{name, seconds, "s", step, seconds / step};
  };
  const auto memory = [&](const char* name, double bytes) {
    return BenchResult{name, bytes / kGiB, "GiB", planned, bytes / kGiB / planned};
  };
  const std::string what = engine::join_text(work.name, " ", options.precision, " ", options.norms);
  std::vector<BenchResult> results = {
      {what + " tokens/s", speed, "tok/s", most, on_cpu ? speed / most : 0},
      part("forward and loss", middle([](const StepTimes& s) { return s.forward; })),
      part("backward", middle([](const StepTimes& s) { return s.backward; })),
      part("gradient norm and AdamW", middle([](const StepTimes& s) { return s.update; }))};
  if (other)
    results.push_back({"a step, against " + options.against + "'s in turn", step, "s", engine::median(other_seconds),
                       engine::median(ratios)});
  else
    results.insert(results.end(),
                   {part("from nothing to the end of the first step", first),
                    memory("peak memory of tensors", double(engine::memory_statistics(options.device).peak)),
                    memory("peak memory of the process", peak_resident_bytes())});
  return results;
}

std::vector<BenchResult> bench_step_on_ranks(const StepWork& work, const StepOptions& options,
                                             engine::Communicator& c, int zero) {
  engine::Rng rng{1 + uint64_t(c.rank())};
  const MicroBatch batch = random_batch(work, config_of(work, options.norms), rng);
  // Median seconds of a step and of its backward pass.
  const auto times_of = [&](Training& training) {
    training.step(batch);
    std::vector<double> total, backward;
    for (int64_t i = 0; i < options.steps; ++i) {
      const StepTimes times = training.step(batch);
      total.push_back(times.total()), backward.push_back(times.backward);
    }
    return std::pair(engine::median(total), engine::median(backward));
  };
  std::pair<double, double> alone;
  if (c.rank() == 0) {  // by itself: the others wait without work
    Training training(work, options.norms, nn::Precision::of(options.precision));
    alone = times_of(training);
  }
  alone = {c.from_root(alone.first), c.from_root(alone.second)};
  ParallelConfig parallel;
  parallel.zero = zero;
  Training training(work, options.norms, nn::Precision::of(options.precision), c, parallel);
  const double together = c.from_root(times_of(training).first);
  const nn::Parameters& parameters = training.parameters();
  const double n = double(parameters.elements());
  const double exchange = seconds_of_exchange(c, parameters.elements(), parallel.bucket_mib, int(options.steps));
  const auto [first, last] = parameters.range(nn::ParameterGroup::embedding);
  const double predicted = efficiency_of(alone.first, alone.second, exchange / 2,
                                         exchange / 2 * double(last - first) / n, exchange / 2);
  const double tokens = double(work.rows * work.length), ranks = double(c.size());
  const std::string what = engine::join_text(work.name, " ", options.precision, " ", options.norms);
  const double longer = std::max(0.0, together - alone.first);
  return {{engine::join_text(what, " tokens/s on ", c.size(), " ranks"), ranks * tokens / together, "tok/s",
           ranks * tokens / alone.first, alone.first / together},
          {"a step of one rank by itself", alone.first, "s", together, alone.first / together},
          {"the exchange by itself", exchange, "s", together, exchange / together},
          {"what a step is longer by", longer, "s", exchange, longer / exchange},
          {"efficiency predicted from these", predicted, "", 1, predicted}};
}

}  // namespace train
