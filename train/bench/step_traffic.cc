// Read first: step_traffic.h.
#include "train/bench/step_traffic.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "engine/base/text.h"
#include "engine/ops/loss.h"
#include "models/flops.h"
#include "train/bench/step_training.h"

namespace train {

using engine::TrafficCount;
using models::Objective;

namespace {

constexpr int64_t kLength = 128, kVocabulary = 1024, kScored = 64;  // of the smallest step that is counted

/// What the terms are made of.
struct Sizes {
  int64_t rows, length, vocabulary, scored;  // scored: rows of the head
  std::vector<double> terms(bool masked) const {
    const double n = double(rows * length), t = double(length), v = double(vocabulary), m = double(scored);
    std::vector<double> all = {1, t, n, n * t, v, m * v};
    if (masked) all.push_back(m);
    return all;
  }
};

constexpr double TrafficCount::*kFields[] = {
    &TrafficCount::launches,     &TrafficCount::dram_read,   &TrafficCount::dram_write, &TrafficCount::asked,
    &TrafficCount::sector_bytes, &TrafficCount::matrix_flop, &TrafficCount::other_flop};

/// Solves A x = y for every y of one A: Gauss with the largest pivot.
class Terms {
 public:
  explicit Terms(std::vector<std::vector<double>> a) : n_(a.size()), inverse_(n_, std::vector<double>(n_)) {
    for (size_t i = 0; i < n_; ++i) inverse_[i][i] = 1;
    for (size_t p = 0; p < n_; ++p) {
      size_t best = p;
      for (size_t i = p; i < n_; ++i)
        if (std::fabs(a[i][p]) > std::fabs(a[best][p])) best = i;
      engine::check(a[best][p] != 0, "bench: the steps that are counted do not tell the terms apart");
      std::swap(a[p], a[best]), std::swap(inverse_[p], inverse_[best]);
      const double pivot = a[p][p];
      for (size_t j = 0; j < n_; ++j) a[p][j] /= pivot, inverse_[p][j] /= pivot;
      for (size_t i = 0; i < n_; ++i) {
        const double by = i == p ? 0 : a[i][p];
        for (size_t j = 0; j < n_ && by != 0; ++j)
          a[i][j] -= by * a[p][j], inverse_[i][j] -= by * inverse_[p][j];
      }
    }
  }
  /// The factor of each term, of values at the sizes.
  std::vector<double> of(const std::vector<double>& values) const {
    std::vector<double> factors(n_, 0);
    for (size_t k = 0; k < n_; ++k)
      for (size_t i = 0; i < n_; ++i) factors[k] += inverse_[k][i] * values[i];
    return factors;
  }

 private:
  size_t n_;
  std::vector<std::vector<double>> inverse_;
};

double at(const std::vector<double>& factors, const std::vector<double>& terms) {
  double sum = 0;
  for (size_t k = 0; k < terms.size(); ++k) sum += factors[k] * terms[k];
  return std::max(sum, 0.0);
}

std::vector<TrafficCount> count_once(StepWork work, const StepOptions& options, const Sizes& sizes,
                                     int64_t layers) {
  work.rows = sizes.rows, work.length = sizes.length, work.vocabulary = sizes.vocabulary,
  work.layers = layers;
  engine::Rng rng{1};
  const MicroBatch batch = random_batch(work, config_of(work, options.norms), rng, sizes.scored);
  nn::Precision precision = nn::Precision::of(options.precision);
  precision.device = engine::Device::cuda_host;
  return engine::count_launches([&] {
    const auto training = std::make_shared<Training>(work, options.norms, precision);
    return [training, &batch] { training->step(batch); };
  });
}

/// Error: they are not launches of the same lines in the same order, so that none follows from another.
void check_alike(const std::vector<TrafficCount>& a, const std::vector<TrafficCount>& b) {
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const auto name = [i](const auto& launches) { return i < launches.size() ? launches[i].name : "nothing"; };
    engine::check(name(a) == name(b), "bench: steps of other sizes launch other kernels: launch ", i, " is ", name(a),
                  " or ", name(b));
  }
}

/// Rows of the work's head: of a masked LM as many as a recorded step fills them up to (micro_step.h).
int64_t scored_rows(const StepWork& work) {
  const int64_t tokens = work.rows * work.length;
  if (work.objective != Objective::mlm) return tokens;
  return std::min(tokens, (int64_t(kMasked * double(tokens)) + 63) / 64 * 64);
}

/// The launches of a step of `layers` layers at the work's sizes.
std::vector<TrafficCount> predict_launches(const StepWork& work, const StepOptions& options, int64_t layers) {
  const bool masked = work.objective == Objective::mlm;
  const int64_t t = kLength, v = kVocabulary, m = kScored;
  // Two rows at least: what is added to each of them is another kernel's work where there is one.
  std::vector<Sizes> small = {{2, t, v, m},     {3, t, v, m},     {2, 2 * t, v, m},
                              {3, 2 * t, v, m}, {2, t, 2 * v, m}, {3, t, 2 * v, 2 * m}};
  if (masked) small.push_back({2, t, v, 2 * m});
  if (!masked)
    for (Sizes& s : small) s.scored = s.rows * s.length;
  std::vector<std::vector<double>> terms;
  std::vector<std::vector<TrafficCount>> counts;
  for (const Sizes& s : small) {
    terms.push_back(s.terms(masked));
    counts.push_back(count_once(work, options, s, layers));
    check_alike(counts.front(), counts.back());
  }
  const Terms solve(terms);

  const Sizes whole{work.rows, work.length, work.vocabulary, scored_rows(work)};
  const int64_t chunks = engine::cross_entropy_chunks(whole.scored, work.vocabulary, work.width);
  const size_t of_head = 5, of_vocabulary = 4;  // among Sizes::terms
  std::vector<TrafficCount> out = counts.front();
  for (size_t i = 0; i < out.size(); ++i) {
    const auto factors_of = [&](double TrafficCount::*field) {
      std::vector<double> values;
      for (const auto& step : counts) values.push_back(step[i].*field);
      return solve.of(values);
    };
    const bool head = factors_of(&TrafficCount::matrix_flop)[of_head] > 0.5 ||
                      factors_of(&TrafficCount::other_flop)[of_head] > 0.5;
    const int64_t times = head ? chunks : 1;
    std::vector<double> sizes = whole.terms(masked);
    for (const size_t k : masked ? std::vector<size_t>{5, 6} : std::vector<size_t>{2, 3, 5})
      sizes[k] /= double(times);
    for (double TrafficCount::*field : kFields) out[i].*field = at(factors_of(field), sizes);
    out[i].launches = 1;
    double more = 0;  // the weight's gradient is read again by every chunk but the first
    if (head)
      more = std::max(0.0, factors_of(&TrafficCount::dram_write)[of_vocabulary] * sizes[of_vocabulary]);
    const double first = engine::predicted_seconds(out[i]);
    TrafficCount later = out[i];
    later.dram_read += more, later.asked += more, later.sector_bytes += more;
    out[i].seconds = first + double(times - 1) * engine::predicted_seconds(later);
    for (double TrafficCount::*field : kFields) out[i].*field += double(times - 1) * (later.*field);
  }
  return out;
}

using Lines = std::map<std::string, TrafficCount>;

void add(TrafficCount& sum, const TrafficCount& x, double times) {
  for (double TrafficCount::*field : kFields) sum.*field += times * (x.*field);
  sum.seconds += times * x.seconds;
  sum.conflict_factor = std::max(sum.conflict_factor, x.conflict_factor);
}
Lines by_line(const std::vector<TrafficCount>& launches) {
  Lines lines;
  for (const TrafficCount& c : launches) add(lines[c.name], c, 1);
  return lines;
}

StepTraffic summed(const Lines& lines, const StepWork& work, const StepOptions& options) {
  StepTraffic out;
  out.step.name = "step";
  for (const auto& [name, line] : lines) {
    out.launches.push_back(line);
    out.launches.back().name = name;
    add(out.step, line, 1);
  }
  for (TrafficCount& c : out.launches) c.sector_factor = c.sector_bytes / std::max(c.asked, 1.0);
  out.step.sector_factor = out.step.sector_bytes / std::max(out.step.asked, 1.0);
  std::sort(out.launches.begin(), out.launches.end(),
            [](const TrafficCount& x, const TrafficCount& y) { return x.seconds > y.seconds; });
  out.floor = engine::seconds_of_products(
      double(work.rows * work.length) *
      models::flops_per_token(config_of(work, options.norms), work.length).total());
  return out;
}

}  // namespace

StepTraffic predict_step(const StepWork& work, const StepOptions& options) {
  Lines lines = by_line(predict_launches(work, options, 1));
  const Lines two = by_line(predict_launches(work, options, 2));
  const Lines one = lines;
  for (const auto& [name, line] : two) {
    const auto before = one.find(name);
    add(lines[name], line, double(work.layers - 1));
    if (before != one.end()) add(lines[name], before->second, -double(work.layers - 1));
  }
  StepTraffic out = summed(lines, work, options);
  out.counted = engine::join_text("counted at ", 2 * kLength, " to ", 6 * kLength, " tokens, ", kVocabulary,
                                  " and ", 2 * kVocabulary, " words, one and two layers of width ",
                                  work.width, ", and continued to the work's sizes");
  return out;
}

StepTraffic count_step(const StepWork& work, const StepOptions& options) {
  const Sizes sizes{work.rows, work.length, work.vocabulary, scored_rows(work)};
  StepTraffic out = summed(by_line(count_once(work, options, sizes, work.layers)), work, options);
  out.counted = "counted as it is";
  return out;
}

}  // namespace train
