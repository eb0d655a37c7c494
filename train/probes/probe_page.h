// A probe's result as a page: the report's page with one card for each quantity. Read first: report.h.
#pragma once

#include <string>

#include "engine/base/json.h"

namespace train {

/// `results` as the probe's JSON has them.
std::string probe_page(const std::string& command, const engine::Json& results);

}  // namespace train
