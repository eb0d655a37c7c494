// "0.1,0.2,0.4" on a command line. Read first: cli.h.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "engine/base/check.h"

namespace train {

/// The values between the commas, each read by `parse`, in order. Error: one is there twice; `what` names the flag.
template <class Parse>
auto value_list(const std::string& text, const std::string& what, const Parse& parse) {
  std::vector<decltype(parse(text))> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const auto value = parse(text.substr(at, end - at));
    engine::check(std::find(out.begin(), out.end(), value) == out.end(), what, ": ", text.substr(at, end - at),
                  " is there twice");
    out.push_back(value);
    at = end + 1;
  }
  return out;
}

}  // namespace train
