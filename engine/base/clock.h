// Time for measurements, and the middle of several of them.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace engine {

/// Seconds of a clock that only goes forward, since some moment.
inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <class F>
double seconds_of(F&& f) {
  const double start = now();
  f();
  return now() - start;
}

/// The middle value, or the mean of the two middle ones; of at least one value.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 ? values[half] : values[half - 1] + (values[half] - values[half - 1]) / 2;
}

}  // namespace engine
