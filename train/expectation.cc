// Read first: expectation.h.
#include "train/expectation.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <limits>
#include <map>

#include "data/packages.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/text.h"
#include "engine/bench/gemm_bench.h"
#include "engine/cpu/parallel.h"
#include "models/flops.h"

namespace train {
namespace {

/// Rough, from runs beside other programs (docs/benchmarks.md, "Expected speed"): a run's own ETA knows
/// better.
struct WidthShare {
  double width, share;
};
constexpr WidthShare kShares[] = {{16, 0.04}, {64, 0.25}, {192, 0.30}, {384, 0.50}, {768, 0.70}};
/// Tiles multiply so fast that most of a step is something else: of their peak it reaches this part of the
/// share that it reaches of other peaks.
constexpr double kShareOnTiles = 0.2;
/// The same of f16, whose peak there is a quarter: three more products beside the same rest. Computed from
/// bf16's, not measured.
constexpr double kShareOnTilesF16 = 0.35;

/// The peak as it was measured here within the last ten minutes, else now: a machine's answer that changes
/// from one look to the next would make two models look different. One process has one answer.
double recent_peak(engine::DType dtype) {
  static std::map<std::pair<engine::DType, int>, double> answers;
  double& answer = answers[{dtype, engine::cpu::thread_count()}];
  if (answer > 0) return answer;
  constexpr double kFreshSeconds = 600;
  const std::string folder = data::default_cache();
  const std::string path =
      engine::join_text(folder, "/peak-", engine::name_of(dtype), "-", engine::cpu::thread_count(), ".json");
  const double now = double(std::time(nullptr));
  try {
    if (engine::file_exists(path)) {
      const engine::Json kept = engine::read_json(path, 4096);
      const double age = now - kept.at("time").get<double>(), flops = kept.at("flops").get<double>();
      if (age >= 0 && age < kFreshSeconds && flops > 0) return answer = flops;
    }
  } catch (const std::exception&) {  // damaged, or another program's: measured again
  }
  const double flops = 1e9 * engine::multiply_add_peak(dtype);
  try {
    engine::make_directories(folder);
    engine::write_file(path, engine::json_text(engine::Json{{"time", now}, {"flops", flops}}) + "\n");
  } catch (const engine::Error&) {  // a cache that cannot be written is none
  }
  return answer = flops;
}

}  // namespace

double expected_share(int64_t width) {
  const double w = double(width);
  if (w <= kShares[0].width) return kShares[0].share;
  for (size_t i = 1; i < std::size(kShares); ++i) {
    const auto &a = kShares[i - 1], &b = kShares[i];
    if (w <= b.width)
      return a.share + (b.share - a.share) * std::log(w / a.width) / std::log(b.width / a.width);
  }
  return kShares[std::size(kShares) - 1].share;
}

MeasuredPeak measured_peak(PrecisionKind precision, int64_t threads, Peak peak) {
  if (threads > 0) engine::cpu::set_thread_count(int(threads));
  const bool tiles = engine::cpu::bf16_product() == engine::cpu::Bf16Product::amx;
  const engine::DType dtype = precision == PrecisionKind::bf16           ? engine::DType::bf16
                              : precision == PrecisionKind::f16 && tiles ? engine::DType::f16
                                                                         : engine::DType::f32;
  const double flops = peak == Peak::now ? 1e9 * engine::multiply_add_peak(dtype) : recent_peak(dtype);
  if (!tiles || dtype == engine::DType::f32) return {flops, 1};
  return {flops, dtype == engine::DType::bf16 ? kShareOnTiles : kShareOnTilesF16};
}

Expectation expected_speed(const models::ModelConfig& model, int64_t context, PrecisionKind precision,
                           int64_t threads, Peak peak) {
  const MeasuredPeak measured = measured_peak(precision, threads, peak);
  Expectation e;
  e.flops_per_token = models::flops_per_token(model, context).total();
  e.peak_flops = measured.flops;
  e.share = expected_share(model.width) * measured.reached;
  e.tokens_per_second = e.share * e.peak_flops / e.flops_per_token;
  return e;
}

Expectation expected_run(const TrainConfig& config, const models::ModelConfig& model, int64_t context,
                         int64_t rows_per_epoch, Peak peak, int64_t ranks) {
  Expectation e = expected_speed(model, context, config.precision, config.threads, peak);
  e.ranks = ranks, e.peak_flops *= double(ranks), e.tokens_per_second *= double(ranks);
  const double per_update =
      double(config.data.batch) * double(config.data.accumulate) * double(context) * double(ranks);
  const BudgetConfig& b = config.budget;
  double tokens = std::numeric_limits<double>::infinity();
  if (b.steps > 0) tokens = std::min(tokens, double(b.steps) * per_update);
  if (b.tokens > 0) tokens = std::min(tokens, double(b.tokens));
  if (b.epochs > 0 && rows_per_epoch > 0)
    tokens = std::min(tokens, b.epochs * double(rows_per_epoch) * double(context));
  if (b.seconds > 0) tokens = std::min(tokens, b.seconds * e.tokens_per_second);
  if (!std::isfinite(tokens)) return e;
  e.updates = int64_t(std::min(std::ceil(tokens / per_update), 1e18));
  e.tokens = tokens, e.seconds = tokens / e.tokens_per_second;
  return e;
}

std::string expectation_text(const Expectation& e) {
  char speed[200];
  std::snprintf(
      speed, sizeof speed,
      "time: about %s tokens/s (%.3g MFLOP a token, %.0f %% of the %.0f GFLOP/s measured on %d threads%s)",
      engine::human_count(e.tokens_per_second).c_str(), e.flops_per_token * 1e-6, 100 * e.share,
      e.peak_flops * 1e-9, engine::cpu::thread_count(),
      e.ranks > 1 ? engine::join_text(" of each of ", e.ranks, " ranks").c_str() : "");
  std::string text = speed;
  if (e.seconds <= 0) return text;
  constexpr double kYear = 365.25 * 86400;
  char years[40];
  std::snprintf(years, sizeof years, "%.0f years", e.seconds / kYear);
  text += "; " + (e.seconds >= 2 * kYear ? years : engine::human_seconds(e.seconds)) + " for " +
          engine::human_count(e.tokens) + " tokens, " + std::to_string(e.updates) + " updates";
  if (e.seconds >= 2 * kYear) return text;
  const std::time_t end = std::time(nullptr) + std::time_t(e.seconds);
  std::tm local{};
  ::localtime_r(&end, &local);
  char when[40];
  std::strftime(when, sizeof when, e.seconds < 12 * 3600 ? "until about %H:%M" : "until about %Y-%m-%d %H:%M",
                &local);
  return text + ", " + when;
}

}  // namespace train
