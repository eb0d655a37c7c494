// Regular expressions as tokenizer.json has them: Oniguruma's, in its Ruby syntax. They are rewritten for
// PCRE2, which has another grammar of character classes and older characters:
//
//   [a[bc]] [a&&b]   nested classes, unions and intersections
//   \s \w \h \d      Unicode's White_Space; Alphabetic, marks, digits, connectors; hexadecimal digits; Nd
//   \p{L} \p{Alpha}  with the characters of Unicode 15 and 16
//   \p{Han}          the script itself, not its extensions; \p{Punct} is P, [:punct:] P and S
//   ^ $              at every line; (?m) lets . match a newline
//   x{2}+            a repeated repetition, nothing possessive
//
//   a(?i)b|c         an option holds to the end of its group, alternatives included: a(?i:b|c)
//
// What cannot be rewritten is refused, so under (?i) what Oniguruma folds in its own way: "ss", which is "ß"
// too, "fi", which is the ligature too, and classes of properties that are not the same in both cases.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace data {

class Regex {
 public:
  struct Match {
    size_t begin, end;
  };

  /// `what` names the expression in errors.
  Regex(const std::string& pattern, const std::string& what);
  ~Regex();

  /// Calls use(match) for each match from left to right, as Oniguruma's find_iter does: an empty match right
  /// behind the one before is passed over.
  template <class Use>
  void each(std::string_view text, const Use& use) const {
    size_t at = 0, last_end = std::string_view::npos;
    while (at <= text.size()) {
      const std::optional<Match> match = find(text, at);
      if (!match) return;
      if (match->begin == match->end && match->end == last_end) {
        at = after_character(text, match->end);
        continue;
      }
      at = last_end = match->end;
      use(*match);
    }
  }

 private:
  struct Code;

  std::optional<Match> find(std::string_view text, size_t from) const;
  static size_t after_character(std::string_view text, size_t at);

  std::string what_;
  std::unique_ptr<Code> code_;
};

/// The expression in PCRE2's syntax.
std::string oniguruma_to_pcre(const std::string& pattern, const std::string& what);

}  // namespace data
