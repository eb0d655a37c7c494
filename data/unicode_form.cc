// Read first: unicode_form.h, utf8.h.
#include "data/unicode_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "data/utf8.h"
#include "engine/base/check.h"

namespace data {
namespace {

int combining_class(utf8proc_int32_t code) { return utf8proc_get_property(code)->combining_class; }

class Former {
 public:
  Former(UnicodeForm form, LeftAlone left_alone)
      : compose_(form == UnicodeForm::nfc || form == UnicodeForm::nfkc),
        compatible_(form == UnicodeForm::nfkc || form == UnicodeForm::nfkd),
        left_alone_(left_alone) {}

  /// Appends the form of valid UTF-8 whose ends no combining sequence crosses.
  void append(std::string_view text, std::string& out) {
    const auto* p = reinterpret_cast<const uint8_t*>(text.data());
    for (const auto* end = p + text.size(); p < end;) {
      const Char c = decode_char(p, end);
      p += c.bytes;
      if (left_alone_ == nullptr || !left_alone_(c.code)) {
        decompose(utf8proc_int32_t(c.code));
        continue;
      }
      finish(out);
      append_utf8(out, c.code);
    }
    finish(out);
  }

 private:
  void decompose(utf8proc_int32_t code) {
    const auto options =
        utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible_ ? UTF8PROC_COMPAT : 0));
    utf8proc_int32_t parts[32];  // the longest decomposition has 18
    int boundary = 0;
    const auto n = utf8proc_decompose_char(code, parts, 32, options, &boundary);
    engine::check(n >= 0 && n <= 32, "Unicode form: ", utf8proc_errmsg(n));
    codes_.insert(codes_.end(), parts, parts + n);
  }

  /// Orders and joins what has been taken apart, and writes it.
  void finish(std::string& out) {
    order_marks();
    auto n = utf8proc_ssize_t(codes_.size());
    if (compose_ && n > 0) {
      n = utf8proc_normalize_utf32(codes_.data(), n, utf8proc_option_t(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
      engine::check(n >= 0, "Unicode form: ", utf8proc_errmsg(n));
    }
    for (utf8proc_ssize_t i = 0; i < n; ++i) append_utf8(out, uint32_t(codes_[size_t(i)]));
    codes_.clear();
  }

  /// Canonical order: marks of non-zero class in a row, by class, else as they came.
  void order_marks() {
    for (size_t i = 0; i < codes_.size(); ++i) {
      if (combining_class(codes_[i]) == 0) continue;
      size_t end = i;
      while (end < codes_.size() && combining_class(codes_[end]) != 0) ++end;
      std::stable_sort(codes_.begin() + ptrdiff_t(i), codes_.begin() + ptrdiff_t(end),
                       [](auto a, auto b) { return combining_class(a) < combining_class(b); });
      i = end - 1;
    }
  }

  bool compose_, compatible_;
  LeftAlone left_alone_;
  std::vector<utf8proc_int32_t> codes_;
};

}  // namespace

std::string to_form(std::string_view text, UnicodeForm form, LeftAlone left_alone) {
  std::string out;
  out.reserve(text.size());
  Former former(form, left_alone);
  const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
  const auto* end = begin + text.size();
  for (size_t at = 0; at < text.size();) {
    // ASCII stays as it is, but its last character may be what a mark behind it joins.
    const size_t ascii = ascii_prefix(text.substr(at));
    const bool all = at + ascii == text.size();
    out += text.substr(at, all || ascii == 0 ? ascii : ascii - 1);
    if (all) break;
    const size_t first = at + ascii - (ascii > 0);
    size_t last = at + ascii;
    while (last < text.size() && begin[last] >= 0x80) {
      const Char c = decode_char(begin + last, end);
      if (c.code == invalid_char) break;
      last += c.bytes;
    }
    former.append(text.substr(first, last - first), out);
    at = last;
    if (at < text.size() && begin[at] >= 0x80) out += text[at++];  // a byte that is no character
  }
  return out;
}

}  // namespace data
