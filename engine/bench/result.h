// What a benchmark reports: one line of `normlab bench`, one object of its JSON.
#pragma once

#include <string>

namespace engine {

struct BenchResult {
  std::string name;     // says what and in which dtype: "gelu forward f32 [8192, 3072]"
  double value = 0;     // measured, in `unit`; more is better
  std::string unit;     // GB/s, GFLOP/s, tokens/s
  double ceiling = 0;   // what the machine gave in the same run: copy bandwidth or multiply-add peak
  double fraction = 0;  // value / ceiling
};

}  // namespace engine
