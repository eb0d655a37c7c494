// Read first: statistics.h.
#include "train/evaluation/statistics.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/base/check.h"

namespace train {
namespace {

double squared_deviations(std::span<const double> values, double mean) {
  double sum = 0;
  for (const double x : values) sum += (x - mean) * (x - mean);
  return sum;
}

}  // namespace

Mean mean_of(std::span<const double> values) {
  assert(!values.empty());
  const double n = double(values.size());
  Mean out{.n = int64_t(values.size())};
  out.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  if (values.size() < 2) return out;
  out.sd = std::sqrt(squared_deviations(values, out.mean) / (n - 1));
  out.se = *out.sd / std::sqrt(n);
  return out;
}

// --------------------------------------------------------------------------------------- Student's t

namespace {

// Lentz's method. Converges fast for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double tiny = 1e-300;
  const auto away_from_zero = [](double v) { return std::fabs(v) < tiny ? tiny : v; };
  double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), value = d;
  for (int m = 1; m <= 10000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    double factor = 1;
    for (const double coefficient : {even, odd}) {
      d = 1 / away_from_zero(1 + coefficient * d);
      c = away_from_zero(1 + coefficient / c);
      factor = c * d;
      value *= factor;
    }
    if (std::fabs(factor - 1) < 1e-16) break;
  }
  return value;
}

}  // namespace

double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x));
  return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                   : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double student_p(double t, double df) {
  if (std::isinf(t)) return 0;
  return incomplete_beta(df / 2, 0.5, df / (df + t * t));
}

double student_t(double p, double df) {
  if (p >= 1) return 0;
  double low = 0, high = 1;
  while (student_p(high, df) > p && high < 1e300) high *= 2;
  for (int i = 0; i < 200 && high - low > 1e-15 * high; ++i) {
    const double middle = low + (high - low) / 2;
    (student_p(middle, df) > p ? low : high) = middle;
  }
  return low + (high - low) / 2;
}

// ------------------------------------------------------------------------------------------------- tests

double sign_flip_p(std::span<const double> differences) {
  const size_t n = differences.size();
  engine::check(n <= 20, "sign flips: ", n, " pairs; the exact test takes at most 20");
  const double observed = std::fabs(std::accumulate(differences.begin(), differences.end(), 0.0));
  const double limit = observed - 1e-12 * std::max(1.0, observed);  // ties count
  int64_t hits = 0;
  for (uint32_t pattern = 0; pattern < uint32_t(1) << n; ++pattern) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += pattern >> i & 1 ? -differences[i] : differences[i];
    hits += std::fabs(sum) >= limit;
  }
  return double(hits) / double(int64_t(1) << n);
}

Number welch_p(std::span<const double> a, std::span<const double> b) {
  if (a.size() < 2 || b.size() < 2) return {};
  const Mean x = mean_of(a), y = mean_of(b);
  const double vx = *x.se * *x.se, vy = *y.se * *y.se;
  if (vx + vy == 0) return {};
  const double t = (x.mean - y.mean) / std::sqrt(vx + vy);
  const double df = (vx + vy) * (vx + vy) / (vx * vx / double(x.n - 1) + vy * vy / double(y.n - 1));
  return student_p(t, df);
}

PairedDifference paired_difference(std::span<const double> values, std::span<const double> baseline) {
  engine::check(values.size() == baseline.size() && !values.empty(), "paired difference: ", values.size(),
                " values beside ", baseline.size());
  PairedDifference out;
  for (size_t i = 0; i < values.size(); ++i) out.values.push_back(values[i] - baseline[i]);
  out.mean = mean_of(out.values);
  if (out.mean.n < 2) return out;
  const double df = double(out.mean.n - 1), mean = out.mean.mean, se = *out.mean.se;
  // Equal differences leave a rest of rounding, from which no t may come.
  const bool equal =
      *out.mean.sd <= 1e-14 * std::max({std::fabs(mean), std::fabs(values[0]), std::fabs(baseline[0])});
  const double half = equal ? 0 : student_t(0.05, df) * se;
  out.ci_low = mean - half;
  out.ci_high = mean + half;
  if (!equal) {
    out.t = mean / se;
    out.p = student_p(*out.t, df);
  }
  if (out.mean.n <= 20) out.sign_flip_p = sign_flip_p(out.values);
  out.welch_p = welch_p(values, baseline);
  return out;
}

std::vector<Number> holm(const std::vector<Number>& p) {
  std::vector<size_t> order;
  for (size_t i = 0; i < p.size(); ++i)
    if (p[i]) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return *p[a] < *p[b]; });
  std::vector<Number> out(p.size());
  double largest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    largest = std::max(largest, std::min(1.0, double(order.size() - rank) * *p[order[rank]]));
    out[order[rank]] = largest;
  }
  return out;
}

}  // namespace train
