// Read first: step_bench.h.
#include "train/bench/step_bench.h"

#include <sys/resource.h>

#include <algorithm>
#include <map>
#include <optional>

#include "engine/base/clock.h"
#include "engine/base/text.h"
#include "engine/bench/gemm_bench.h"
#include "engine/core/allocator.h"
#include "models/flops.h"
#include "models/init.h"
#include "train/bench/comm_bench.h"
#include "train/rank_plan.h"
#include "train/run_data.h"
#include "train/update.h"

namespace train {

using engine::BenchResult;
using engine::Tensor;
using models::Objective;

namespace {

constexpr double kGiB = 1 << 30, kMasked = 0.15;

models::ModelConfig config_of(const StepWork& work, const std::string& norms) {
  models::ModelConfig c;
  c.objective = work.objective;
  c.layers = work.layers, c.width = work.width, c.heads = work.heads, c.ffn_width = 4 * work.width;
  c.vocab_size = work.vocabulary;
  c.context = std::max<int64_t>(work.length, 1024);
  c.activation = work.objective == Objective::mlm ? nn::Activation::gelu : nn::Activation::gelu_tanh;
  models::set_norms(c, norms);
  return models::checked(c);
}

/// Random ids; labels: random ids too, for a masked LM at every position with probability kMasked.
MicroBatch random_batch(const StepWork& work, const models::ModelConfig& config, engine::Rng& rng) {
  data::Batch batch{.rows = work.rows, .length = work.length};
  const auto id = [&] { return int32_t(rng.uniform() * double(work.vocabulary)); };
  for (int64_t i = 0; i < work.rows * work.length; ++i) {
    const bool scored = work.objective == Objective::clm || i == 0 || rng.uniform() < kMasked;
    batch.ids.push_back(id());
    batch.labels.push_back(scored ? id() : data::kNotScored);
    batch.scored += scored;
  }
  return micro_batch(config, batch, 0);
}

struct StepTimes {
  double forward, backward, update;
  double total() const { return forward + backward + update; }
};

/// A model in training.
class Training {
 public:
  Training(const StepWork& work, const std::string& norms, const nn::Precision& precision)
      : Training(work, norms, precision, alone_, {}) {}
  Training(const StepWork& work, const std::string& norms, const nn::Precision& precision,
           engine::Communicator& communicator, const ParallelConfig& parallel)
      : model_(config_of(work, norms), precision),
        shards_(model_.parameters(), communicator, parallel),
        optimizer_(model_.parameters(), {}, shards_.pieces()),
        update_(model_, optimizer_, shards_, nullptr, {.clip = 1}) {
    models::initialise(model_, "", 1);
    shards_.deal_values();
  }

  StepTimes step(const MicroBatch& batch) {
    const double start = engine::now();
    const Update::Gradients gradients = update_.gradients({&batch, 1}, shards_.communicator().rank());
    shards_.communicator().end_if_any(gradients.agreement.troubles);
    update_.apply(gradients, 1e-4, {});
    engine::memory_of(model_.parameters().precision().device).synchronize();
    const double forward = gradients.forward_seconds, backward = gradients.backward_seconds;
    return {forward, backward, engine::now() - start - forward - backward};
  }
  const models::ModelConfig& config() const { return model_.config(); }
  const nn::Parameters& parameters() const { return model_.parameters(); }

 private:
  engine::Communicator alone_;
  models::Transformer model_;
  Shards shards_;
  Optimizer optimizer_;
  Update update_;
};

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

namespace {

// The counts of a step, by name.
using Counts = std::map<std::string, engine::TrafficCount>;

Counts count_small(StepWork work, const StepOptions& options, int64_t rows, int64_t layers) {
  work.rows = rows, work.layers = layers;
  engine::Rng rng{1};
  const MicroBatch batch = random_batch(work, config_of(work, options.norms), rng);
  nn::Precision precision = nn::Precision::of(options.precision);
  precision.device = engine::Device::cuda_host;
  const auto counted = engine::count_traffic([&] {
    const auto training = std::make_shared<Training>(work, options.norms, precision);
    return [training, &batch] { training->step(batch); };
  });
  Counts counts;
  for (const engine::TrafficCount& c : counted) counts[c.name] = c;
  return counts;
}

}  // namespace

StepTraffic count_step(const StepWork& work, const StepOptions& options) {
  using engine::TrafficCount;
  const Counts small[2][2] = {{count_small(work, options, 1, 1), count_small(work, options, 1, 2)},
                              {count_small(work, options, 2, 1), count_small(work, options, 2, 2)}};
  const double rows = double(work.rows - 1), layers = double(work.layers - 1);
  StepTraffic out;
  out.step.name = "step";
  double sectors = 0, conflicts = 0;
  for (const auto& [name, most] : small[1][1]) {
    const auto at = [&, n = name](int r, int l) {
      const auto found = small[r][l].find(n);
      return found == small[r][l].end() ? TrafficCount() : found->second;
    };
    const TrafficCount a = at(0, 0), b = at(1, 0), c = at(0, 1);
    TrafficCount grown = most;
    for (double TrafficCount::*field :
         {&TrafficCount::launches, &TrafficCount::dram_read, &TrafficCount::dram_write, &TrafficCount::asked,
          &TrafficCount::matrix_flop, &TrafficCount::other_flop, &TrafficCount::seconds}) {
      const double by_row = b.*field - a.*field, by_layer = c.*field - a.*field,
                   by_both = most.*field - b.*field - c.*field + a.*field;
      grown.*field = a.*field + rows * by_row + layers * by_layer + rows * layers * by_both;
      out.step.*field += grown.*field;
    }
    sectors += grown.sector_factor * grown.asked, conflicts = std::max(conflicts, grown.conflict_factor);
    out.launches.push_back(grown);
  }
  out.step.sector_factor = sectors / std::max(out.step.asked, 1.0), out.step.conflict_factor = conflicts;
  std::sort(out.launches.begin(), out.launches.end(),
            [](const TrafficCount& x, const TrafficCount& y) { return x.seconds > y.seconds; });
  const double tokens = double(work.rows * work.length);
  out.floor = engine::seconds_of_products(
      tokens * models::flops_per_token(config_of(work, options.norms), work.length).total());
  return out;
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
