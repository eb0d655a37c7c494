// Statistics of few runs: means with standard errors, paired differences with Student's t, Holm's correction
// for several comparisons, and two checks that assume less (sign flips, Welch). A number that does not exist,
// such as the standard error of one run, is nullopt.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace train {

using Number = std::optional<double>;

struct Mean {
  int64_t n = 0;
  double mean = 0;
  Number sd, se;  // sd with n - 1; se = sd / sqrt(n); none for fewer than two values
};
Mean mean_of(std::span<const double> values);  // of at least one value

/// The regularised incomplete beta function I_x(a, b), by its continued fraction (Press et al., Numerical
/// Recipes, section 6.4).
double incomplete_beta(double a, double b, double x);
/// Two-sided p of Student's t with `df` degrees of freedom, and its inverse: the t that has two-sided p.
double student_p(double t, double df);
double student_t(double p, double df);

/// Differences of pairs. No t and no p for one pair or where all differences are equal; the interval is then
/// the mean itself.
struct PairedDifference {
  std::vector<double> values;
  Mean mean;
  Number t, p;             // two-sided, n - 1 degrees of freedom
  Number ci_low, ci_high;  // mean ± t(0.975, n - 1) se
  Number sign_flip_p;      // exact, up to 20 pairs
  Number welch_p;          // of the two groups, not paired
};
PairedDifference paired_difference(std::span<const double> values, std::span<const double> baseline);

/// Exact two-sided p of the paired permutation test: the share of sign patterns whose |sum| is not below the
/// observed one. At most 20 differences.
double sign_flip_p(std::span<const double> differences);
/// Two-sided p of Welch's test of two means; none when a group has one value or neither varies.
Number welch_p(std::span<const double> a, std::span<const double> b);

/// Holm's step-down adjustment; p values that do not exist do not count as comparisons.
std::vector<Number> holm(const std::vector<Number>& p);

}  // namespace train
