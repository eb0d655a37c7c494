// What the evaluations' JSON has in common: the keys it begins with, and null for a number that does not
// exist.
#pragma once

#include <cmath>
#include <optional>
#include <string>

#include "engine/base/json.h"

namespace train {

/// null where there is no number: JSON has neither NaN nor infinity.
inline engine::Json number_or_null(double x) { return std::isfinite(x) ? engine::Json(x) : engine::Json(); }
inline engine::Json number_or_null(std::optional<double> x) {
  return x ? number_or_null(*x) : engine::Json();
}

/// {"command", "version"}: the first keys of every result.
inline engine::Json result_of(const std::string& command) {
  return {{"command", command}, {"version", NORMLAB_VERSION}};
}

}  // namespace train
