// Metrics of labels and predictions, as GLUE has them. One that is not defined, such as a correlation with a
// constant, is nullopt: it never wins a selection.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace train {

/// Share of equal pairs; of at least one.
double accuracy(std::span<const int> labels, std::span<const int> predictions);
/// Matthews' correlation, of any number of classes (Gorodkin 2004); 0 when labels or predictions are
/// constant.
double matthews(std::span<const int> labels, std::span<const int> predictions);
/// F1 of class 1; 0 when there is neither a true nor a predicted one.
double f1(std::span<const int> labels, std::span<const int> predictions);

/// None with fewer than two pairs, a constant side, or a number that is not finite.
std::optional<double> pearson(std::span<const double> labels, std::span<const double> predictions);
/// Pearson's correlation of the ranks; equal values share the mean of their ranks.
std::optional<double> spearman(std::span<const double> labels, std::span<const double> predictions);

}  // namespace train
