// The largest of many differences, where NaN loses: it counts as infinite, whatever comes after it.
#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "engine/core/tensor.h"

/// The larger of `most` and |x|.
inline double larger(double most, double x) {
  return std::fabs(x) <= most ? most : std::isnan(x) ? INFINITY : std::fabs(x);
}

/// Equal elements differ by nothing, infinite ones too.
inline double largest_gap(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i]) most = larger(most, a[i] - b[i]);
  return most;
}
inline double largest_gap(const engine::Tensor& a, const engine::Tensor& b) {
  return largest_gap(a.to_vector(), b.to_vector());
}
