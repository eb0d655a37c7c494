// Case folding that makes several characters of one: "ß" is "ss", the ligature "ﬁ" is "fi" (Unicode's
// CaseFolding.txt, status F).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace data {

struct LongFold {
  uint32_t code;
  std::string folded;  // two characters or three
};
/// All of them, by code.
const std::vector<LongFold>& long_folds();

/// The first of them whose folding occurs in the folding of `text`; nullptr: none does.
const LongFold* find_long_fold(std::string_view text);

}  // namespace data
