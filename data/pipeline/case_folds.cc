// Read first: case_folds.h.
#include "data/pipeline/case_folds.h"

#include <utf8proc.h>

#include <algorithm>

#include "data/utf8.h"

namespace data {
namespace {

constexpr uint32_t first_long = 0xDF, last_long = 0xFB17;  // ß and the last ligature

void append_folded(uint32_t code, std::string& out) {
  utf8proc_int32_t folded[4];
  int boundary = 0;
  const auto n = utf8proc_decompose_char(utf8proc_int32_t(code), folded, std::size(folded), UTF8PROC_CASEFOLD,
                                         &boundary);
  for (utf8proc_ssize_t i = 0; i < n; ++i) append_utf8(out, uint32_t(folded[i]));
}

std::vector<LongFold> make_long_folds() {
  std::vector<LongFold> out;
  for (uint32_t code = first_long; code <= last_long; ++code) {
    std::string folded;
    append_folded(code, folded);
    const auto* p = reinterpret_cast<const uint8_t*>(folded.data());
    if (!folded.empty() && decode_char(p, p + folded.size()).bytes < folded.size())
      out.push_back({code, folded});
  }
  return out;
}

}  // namespace

const std::vector<LongFold>& long_folds() {
  static const std::vector<LongFold> all = make_long_folds();
  return all;
}

const LongFold* find_long_fold(std::string_view text) {
  std::string folded;
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  for (const auto* end = p + text.size(); p < end;) {
    const Char c = decode_char(p, end);
    append_folded(c.code, folded);
    p += c.bytes;
  }
  const auto found = std::find_if(long_folds().begin(), long_folds().end(), [&](const LongFold& fold) {
    return folded.find(fold.folded) != folded.npos;
  });
  return found == long_folds().end() ? nullptr : &*found;
}

}  // namespace data
