// Read first: class_metrics.h.
#include "train/evaluation/class_metrics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "engine/base/check.h"

namespace train {
namespace {

using engine::check;

void check_pairs(size_t labels, size_t predictions) {
  check(labels == predictions && labels > 0, "metrics: ", predictions, " predictions for ", labels,
        " labels");
}

bool constant(std::span<const double> v) {
  return std::all_of(v.begin(), v.end(), [&](double x) { return x == v[0]; });
}

std::vector<double> ranks(std::span<const double> v) {
  std::vector<size_t> order(v.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return v[a] < v[b]; });
  std::vector<double> out(v.size());
  for (size_t begin = 0, end; begin < order.size(); begin = end) {
    for (end = begin; end < order.size() && v[order[end]] == v[order[begin]]; ++end) {
    }
    for (size_t i = begin; i < end; ++i) out[order[i]] = double(begin + 1 + end) / 2;
  }
  return out;
}

}  // namespace

double accuracy(std::span<const int> labels, std::span<const int> predictions) {
  check_pairs(labels.size(), predictions.size());
  int64_t right = 0;
  for (size_t i = 0; i < labels.size(); ++i) right += labels[i] == predictions[i];
  return double(right) / double(labels.size());
}

double matthews(std::span<const int> labels, std::span<const int> predictions) {
  check_pairs(labels.size(), predictions.size());
  std::map<int, std::pair<double, double>> counts;  // class: how often true, how often predicted
  double right = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    ++counts[labels[i]].first;
    ++counts[predictions[i]].second;
    right += labels[i] == predictions[i];
  }
  const double n = double(labels.size());
  double both = right * n, of_labels = n * n, of_predictions = n * n;
  for (const auto& [label, count] : counts) {
    both -= count.first * count.second;
    of_labels -= count.first * count.first;
    of_predictions -= count.second * count.second;
  }
  const double product = of_labels * of_predictions;
  return product == 0 ? 0 : both / std::sqrt(product);
}

double f1(std::span<const int> labels, std::span<const int> predictions) {
  check_pairs(labels.size(), predictions.size());
  double hits = 0, named = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    hits += labels[i] == 1 && predictions[i] == 1;
    named += (labels[i] == 1) + (predictions[i] == 1);
  }
  return named == 0 ? 0 : 2 * hits / named;
}

std::optional<double> pearson(std::span<const double> labels, std::span<const double> predictions) {
  check_pairs(labels.size(), predictions.size());
  const auto finite = [](std::span<const double> v) {
    return std::all_of(v.begin(), v.end(), [](double x) { return std::isfinite(x); });
  };
  if (labels.size() < 2 || !finite(labels) || !finite(predictions)) return {};
  if (constant(labels) || constant(predictions)) return {};
  const double n = double(labels.size());
  const double x = std::accumulate(labels.begin(), labels.end(), 0.0) / n;
  const double y = std::accumulate(predictions.begin(), predictions.end(), 0.0) / n;
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const double a = labels[i] - x, b = predictions[i] - y;
    xx += a * a, yy += b * b, xy += a * b;
  }
  const double size = std::sqrt(xx) * std::sqrt(yy);  // not of the product, which may underflow
  if (size == 0) return {};
  return std::clamp(xy / size, -1.0, 1.0);
}

std::optional<double> spearman(std::span<const double> labels, std::span<const double> predictions) {
  const auto no_order = [](std::span<const double> v) {
    return std::any_of(v.begin(), v.end(), [](double x) { return std::isnan(x); });
  };
  if (no_order(labels) || no_order(predictions)) return {};
  return pearson(ranks(labels), ranks(predictions));
}

}  // namespace train
