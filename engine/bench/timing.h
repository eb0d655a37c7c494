// Seconds of a call, and the middle of several.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

namespace engine {

template <class F>
double seconds_of(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + int64_t(values.size() / 2), values.end());
  return values[values.size() / 2];
}

}  // namespace engine
