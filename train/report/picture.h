// A small picture of runs for pages such as README.md: their losses, and the gradient by layer at the end, as one SVG
// without scripts. Read first: report_data.h.
#pragma once

#include <string>
#include <vector>

#include "train/report/report_data.h"

namespace train {

/// Error: no run has a loss. Names are escaped.
std::string report_svg(const std::vector<RunReport>& runs);

}  // namespace train
