// Read first: regex.h.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/pipeline/regex.h"

#include <pcre2.h>

#include "data/utf8.h"
#include "engine/base/check.h"

namespace data {

using engine::check;

struct Regex::Code {
  pcre2_code* code = nullptr;
  ~Code() { pcre2_code_free(code); }
};

namespace {

/// One a thread: its memory is used by every expression.
pcre2_match_data* match_data() {
  struct Data {
    pcre2_match_data* data = pcre2_match_data_create(64, nullptr);
    ~Data() { pcre2_match_data_free(data); }
  };
  thread_local const Data mine;
  return mine.data;
}

std::string message_of(int error) {
  char text[256];
  pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(text), sizeof text);
  return text;
}

}  // namespace

Regex::Regex(const std::string& pattern, const std::string& what)
    : what_(what), code_(std::make_unique<Code>()) {
  const std::string translated = oniguruma_to_pcre(pattern, what);
  int error = 0;
  PCRE2_SIZE at = 0;
  code_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_MATCH_INVALID_UTF |
                                  PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY,
                              &error, &at, nullptr);
  check(code_->code != nullptr, what, ": the regular expression \"", pattern.substr(0, 200),
        "\" cannot be read (", message_of(error), ")");
  pcre2_jit_compile(code_->code, PCRE2_JIT_COMPLETE);  // without it, the same matches, slower
}

Regex::~Regex() = default;

std::optional<Regex::Match> Regex::find(std::string_view text, size_t from) const {
  pcre2_match_data* data = match_data();
  const auto match = [&](uint32_t options) {
    return pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from, options,
                       data, nullptr);
  };
  int found = match(0);
  // Compiled expressions have 32 KiB for what they may come back to; without compiling it lies on the heap.
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = match(PCRE2_NO_JIT);
  if (found == PCRE2_ERROR_NOMATCH) return {};
  check(found >= 0, what_, ": the regular expression fails on a text of ", text.size(), " bytes at byte ",
        from, " (", found < 0 ? message_of(found) : "", ")");
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data);
  check(bounds[0] <= bounds[1], what_, ": the regular expression ends before it begins (\\K)");
  return Match{bounds[0], bounds[1]};
}

size_t Regex::after_character(std::string_view text, size_t at) {
  if (at >= text.size()) return text.size() + 1;
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  return at + decode_char(p + at, p + text.size()).bytes;
}

}  // namespace data
