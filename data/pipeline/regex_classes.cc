// Read first: regex_classes.h.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/pipeline/regex_classes.h"

#include <pcre2.h>

#include <cstdio>
#include <set>

#include "data/newer_characters.h"
#include "data/utf8.h"

namespace data {

namespace {

constexpr const char* spaces =
    R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr const char* letters_and_marks =
    R"(\p{L}\p{M}\p{Nl}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
constexpr const char* hexadecimal_digits = "0-9A-Fa-f";

// What Unicode 15.0 to 16.0 added to properties beyond new letters.
constexpr const char* newly_alphabetic =
    R"(\x{363}-\x{36F}\x{897}\x{C04}\x{CF3}\x{F82}\x{F83}\x{1DD3}-\x{1DE6}\x{10D69}\x{10EFC}\x{11080})"
    R"(\x{11081}\x{11241}\x{113B8}-\x{113C0}\x{113C2}\x{113C5}\x{113C7}-\x{113CA}\x{113CC}\x{113CD}\x{11F00})"
    R"(\x{11F01}\x{11F03}\x{11F34}-\x{11F3A}\x{11F3E}-\x{11F40}\x{1611E}-\x{1612E}\x{1E08F})";
constexpr const char* newly_lowercase = R"(\x{10FC}\x{A7F2}-\x{A7F4}\x{AB69}\x{1E030}-\x{1E06D})";
constexpr std::pair<const char*, const char*> newer_of_scripts[] = {
    {"Han", R"(\x{2B739}\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})"},
    {"Hiragana", R"(\x{1B132})"},
    {"Katakana", R"(\x{1B155})"},
    {"Latin", R"(\x{A7CB}-\x{A7CD}\x{A7DA}-\x{A7DC}\x{1DF25}-\x{1DF2A})"},
    {"Cyrillic", R"(\x{1C89}\x{1C8A}\x{1E030}-\x{1E06D}\x{1E08F})"},
    {"Arabic", R"(\x{897}\x{10EC2}-\x{10EC4}\x{10EFC}-\x{10EFF})"}};

/// An expression that Oniguruma has no part in; nullptr: it cannot be read.
pcre2_code* compile(const std::string& expression) {
  int error = 0;
  PCRE2_SIZE at = 0;
  return pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                       PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr);
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (std::tolower(uint8_t(a[i])) != std::tolower(uint8_t(b[i]))) return false;
  return true;
}

const char* white_space() { return spaces; }
const char* hexadecimal() { return hexadecimal_digits; }

std::string newer(const std::string& category) {
  std::string out;
  for (const NewerCharacters& range : newer_characters()) {
    if (!std::string(range.category).starts_with(category)) continue;
    char text[48];
    std::snprintf(text, sizeof text, "\\x{%X}-\\x{%X}", unsigned(range.first), unsigned(range.last));
    out += text;
  }
  return out;
}

std::string word_characters(Place place) {
  // Outside of classes six numbers are in Oniguruma's \w, which comes from Latin 1 there.
  const std::string six = place == Place::outside ? R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})" : "";
  return letters_and_marks + newer("L") + newer("M") + "\\p{Nd}\\p{Pc}" + six + newer("Nd");
}

namespace {

std::string alphabetic() { return "\\p{Alphabetic}" + newer("L") + newly_alphabetic; }

PosixClasses posix_classes_of(Place place) {
  return {{"alpha", alphabetic()},
          {"alnum", alphabetic() + "\\p{Nd}" + newer("Nd")},
          {"digit", "\\p{Nd}" + newer("Nd")},
          {"space", spaces},
          {"upper", "\\p{Uppercase}" + newer("Lu")},
          {"lower", "\\p{Lowercase}" + newer("Ll") + newly_lowercase},
          {"punct", "\\p{P}\\p{S}" + newer("P") + newer("S")},
          {"cntrl", "\\p{Cc}"},
          {"blank", "\\t\\p{Zs}"},
          {"word", word_characters(place)},
          {"xdigit", hexadecimal_digits}};
}

}  // namespace

const PosixClasses& posix_classes(Place place) {
  static const PosixClasses in_class = posix_classes_of(Place::in_class),
                            outside = posix_classes_of(Place::outside);
  return place == Place::in_class ? in_class : outside;
}

bool is_script(const std::string& name) {
  pcre2_code* code = compile("\\p{sc:" + name + "}");
  pcre2_code_free(code);
  return code != nullptr;
}

std::string script_class(const std::string& name) {
  std::string content = "\\p{sc:" + name + "}";
  for (const auto& [script, characters] : newer_of_scripts)
    if (equal_ignoring_case(name, script)) content += characters;
  return content;
}

const LongFold* long_fold_of_class(const std::string& expression, bool repeats) {
  pcre2_code* code = compile("(?i)" + expression);
  if (code == nullptr) return nullptr;  // it is told when all is compiled
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  const auto matches = [&](const std::string& text) {
    return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0, PCRE2_ANCHORED, data,
                       nullptr) >= 0;
  };
  const auto each_matches = [&](std::string_view text) {
    const auto* p = reinterpret_cast<const uint8_t*>(text.data());
    for (const auto* end = p + text.size(); p < end;) {
      const size_t bytes = decode_char(p, end).bytes;
      if (!matches({reinterpret_cast<const char*>(p), bytes})) return false;
      p += bytes;
    }
    return true;
  };
  const LongFold* out = nullptr;
  for (const LongFold& fold : long_folds()) {
    std::string one;
    append_utf8(one, fold.code);
    if (out == nullptr && matches(one) && !(repeats && each_matches(fold.folded))) out = &fold;
  }
  pcre2_match_data_free(data);
  pcre2_code_free(code);
  return out;
}

bool same_in_both_cases(const std::string& name) {
  static const std::set<std::string> names = {
      "n",        "nd",       "nl",       "no",    "p",      "pc",       "pd",       "ps",
      "pe",       "pi",       "pf",       "po",    "s",      "sc",       "sm",       "sk",
      "so",       "z",        "zs",       "zl",    "zp",     "cc",       "cf",       "lm",
      "lo",       "mc",       "me",       "han",   "hangul", "hiragana", "katakana", "latin",
      "cyrillic", "armenian", "georgian", "thai",  "hebrew", "arabic",   "any",      "alpha",
      "alnum",    "digit",    "space",    "punct", "cntrl",  "blank",    "word",     "xdigit"};
  return names.contains(name);
}

}  // namespace data
