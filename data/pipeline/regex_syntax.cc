// Oniguruma's syntax rewritten for PCRE2: one pass that copies what both read alike. Read first: regex.h.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <cstdio>
#include <vector>

#include "data/newer_characters.h"
#include "data/pipeline/regex.h"
#include "engine/base/check.h"

namespace data {

using engine::check;

namespace {

constexpr const char* white_space =
    R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr const char* letters_and_marks =
    R"(\p{L}\p{M}\p{Nl}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
constexpr const char* hexadecimal = "0-9A-Fa-f";

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

/// The characters of a category (or its first letter) that PCRE2 may not know, as ranges of a class.
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

enum class Place { in_class, outside };

std::string alphabetic() { return "\\p{Alphabetic}" + newer("L") + newly_alphabetic; }
std::string word_characters(Place place) {
  // Outside of classes six numbers are in Oniguruma's \w, which comes from Latin 1 there.
  const std::string six = place == Place::outside ? R"(\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})" : "";
  return letters_and_marks + newer("L") + newer("M") + "\\p{Nd}\\p{Pc}" + six + newer("Nd");
}

/// Whether it is the name of a script. \p{Han} is all characters of the script there; PCRE2's would be those
/// of other scripts too that are also used with it.
bool is_script(const std::string& name) {
  const std::string pattern = "\\p{sc:" + name + "}";
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF,
                                   &error, &at, nullptr);
  pcre2_code_free(code);
  return code != nullptr;
}

class Translator {
 public:
  Translator(const std::string& pattern, const std::string& what) : pattern_(pattern), what_(what) {}

  std::string run() {
    while (!at_end()) {
      const char c = peek();
      if (c == '\\') {
        atom(escape_outside());
      } else if (c == '[') {
        ++at_;
        atom(one_of_class(1));
      } else if (c == '(') {
        open_group();
      } else if (c == ')') {
        ++at_;
        out_ += ')';
        check(!groups_.empty(), what_, ": the regular expression has a \")\" too many");
        atom_ = groups_.back();
        groups_.pop_back();
        quantified_ = false;
      } else if (c == '{' || c == '*' || c == '+' || c == '?') {
        quantifier();
      } else {
        copy_character();
      }
    }
    return out_;
  }

 private:
  bool at_end() const { return at_ >= pattern_.size(); }
  char peek(size_t ahead = 0) const { return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0'; }
  [[noreturn]] void refuse(const std::string& why) const {
    engine::fail(what_, ": the regular expression \"", pattern_.substr(0, 200), "\" cannot be read: ", why);
  }

  void atom(const std::string& text) {
    atom_ = out_.size();
    out_ += text;
    quantified_ = false;
  }

  void copy_character() {
    std::string text(1, pattern_[at_++]);
    while (!at_end() && (uint8_t(pattern_[at_]) & 0xC0) == 0x80) text += pattern_[at_++];
    atom(text);
  }

  void open_group() {
    groups_.push_back(out_.size());
    out_ += '(', ++at_;
    if (peek() != '?') return;
    out_ += '?', ++at_;
    if (peek() == '<' || peek() == '#' || peek() == '=' || peek() == '!' || peek() == '>' || peek() == '~') {
      if (peek() == '~') refuse("the absence operator (?~…)");
      if (peek() == '#') refuse("a comment (?#…)");
      return;
    }
    // Options: Oniguruma's m is PCRE2's s; there is no other s.
    while (!at_end() && peek() != ':' && peek() != ')') {
      const char option = pattern_[at_++];
      if (option == 'm')
        out_ += 's';
      else if (option == 'i' || option == 'x' || option == '-')
        out_ += option;
      else
        refuse(std::string("the option (?") + option + ")");
    }
  }

  /// A quantifier behind the last atom. "{2}+" and "{2}?" repeat or may leave out the repetition.
  void quantifier() {
    std::string text;
    bool braces = false;
    if (peek() == '{') {
      size_t end = at_ + 1;
      while (end < pattern_.size() && (std::isdigit(uint8_t(pattern_[end])) || pattern_[end] == ',')) ++end;
      text = pattern_.substr(at_ + 1, end - at_ - 1);
      const bool numbers = end < pattern_.size() && pattern_[end] == '}' && !text.empty() && text != ",";
      if (!numbers) {
        ++at_;
        return atom("\\{");
      }
      if (text.starts_with(',')) text = "0" + text;
      text = "{" + text + "}";
      at_ = end + 1;
      braces = true;
    } else {
      text = std::string(1, pattern_[at_++]);
    }
    if (quantified_ && (braces || last_braces_) && (text[0] != '?' || last_exact_)) {
      out_.insert(atom_, "(?:");
      out_ += ')';
    }
    out_ += text;
    last_exact_ = braces && text.find(',') == text.npos;
    last_braces_ = braces;
    quantified_ = true;
  }

  static std::string class_of_content(const std::string& content, bool negated) {
    return (negated ? "[^" : "[") + content + "]";
  }

  /// \p{…} or \P{…} at the current place, behind the backslash.
  std::string property(Place place, bool& negated) {
    negated = pattern_[at_++] == 'P';
    if (peek() != '{') refuse("\\p without {}");
    const size_t end = pattern_.find('}', at_);
    if (end == pattern_.npos) refuse("\\p{ without }");
    std::string name = pattern_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    if (name.starts_with('^')) negated = !negated, name.erase(0, 1);
    if (name.find_first_of("\\[](){}=:") != name.npos || name.empty()) refuse("\\p{" + name + "}");
    const auto is = [&name](const char* other) { return equal_ignoring_case(name, other); };
    if (is("alphabetic") || is("lowercase") || is("uppercase")) name.resize(5);  // alpha, lower, upper
    if (is("punct")) return "\\p{P}" + newer("P");  // [:punct:] takes symbols too
    for (const auto& [posix, content] : posix_classes(place))
      if (is(posix)) return content;
    if (is_script(name)) {
      std::string content = "\\p{sc:" + name + "}";
      for (const auto& [script, characters] : newer_of_scripts)
        if (is(script)) content += characters;
      return content;
    }
    const bool category = name.size() <= 2;
    return "\\p{" + name + "}" + (category ? newer(name) : "");
  }

  static bool equal_ignoring_case(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i)
      if (std::tolower(uint8_t(a[i])) != std::tolower(uint8_t(b[i]))) return false;
    return true;
  }

  using PosixClasses = std::vector<std::pair<const char*, std::string>>;
  static PosixClasses posix_classes_of(Place place) {
    return {{"alpha", alphabetic()},
            {"alnum", alphabetic() + "\\p{Nd}" + newer("Nd")},
            {"digit", "\\p{Nd}" + newer("Nd")},
            {"space", white_space},
            {"upper", "\\p{Uppercase}" + newer("Lu")},
            {"lower", "\\p{Lowercase}" + newer("Ll") + newly_lowercase},
            {"punct", "\\p{P}\\p{S}" + newer("P") + newer("S")},
            {"cntrl", "\\p{Cc}"},
            {"blank", "\\t\\p{Zs}"},
            {"word", word_characters(place)},
            {"xdigit", hexadecimal}};
  }
  static const PosixClasses& posix_classes(Place place) {
    static const PosixClasses in_class = posix_classes_of(Place::in_class),
                              outside = posix_classes_of(Place::outside);
    return place == Place::in_class ? in_class : outside;
  }

  /// The content of the class that \s, \w, \d, \h, \p stand for; nothing when the escape is another one.
  bool shorthand(Place place, std::string& content, bool& negated) {
    const char c = peek(1);
    const char kind = char(std::tolower(uint8_t(c)));
    if (kind != 's' && kind != 'w' && kind != 'd' && kind != 'h' && kind != 'p') return false;
    ++at_;
    if (kind == 'p') {
      content = property(place, negated);
      return true;
    }
    ++at_;
    negated = c != kind;
    content = kind == 's'   ? white_space
              : kind == 'w' ? word_characters(place)
              : kind == 'd' ? "\\p{Nd}" + newer("Nd")
                            : hexadecimal;
    return true;
  }

  /// An escape that stands for one character, in either place: \n, \u0041, \x{41}, \[ …
  std::string escaped_character() {
    const char c = peek(1);
    if (c == '\0') refuse("a backslash at the end");
    if (c == 'u') {
      const std::string digits = pattern_.substr(std::min(at_ + 2, pattern_.size()), 4);
      if (digits.size() < 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != digits.npos)
        refuse("\\u without four hexadecimal digits");
      at_ += 6;
      return "\\x{" + digits + "}";
    }
    if (c == 'x' && peek(2) == '{') {
      const size_t end = pattern_.find('}', at_);
      if (end == pattern_.npos) refuse("\\x{ without }");
      const std::string text = pattern_.substr(at_, end + 1 - at_);
      at_ = end + 1;
      return text;
    }
    if (c == 'v') return at_ += 2, "\\x{B}";
    const bool plain = uint8_t(c) >= 0x80 || std::ispunct(uint8_t(c)) || c == ' ';
    const bool shared = std::string_view("tnrfaex0123456789").find(c) != std::string_view::npos;
    if (!plain && !shared) refuse(std::string("\\") + c);
    at_ += 2;
    std::string text = {'\\', c};
    if (uint8_t(c) >= 0x80) text = std::string(1, c);
    while (!at_end() && (uint8_t(pattern_[at_]) & 0xC0) == 0x80) text += pattern_[at_++];
    return text;
  }

  std::string escape_outside() {
    std::string content;
    bool negated = false;
    if (shorthand(Place::outside, content, negated)) return class_of_content(content, negated);
    const char c = peek(1);
    if (c == 'b' || c == 'B') {
      at_ += 2;
      const std::string w = class_of_content(word_characters(Place::outside), false);
      const std::string inside = "(?:(?<=" + w + ")(?=" + w + ")|(?<!" + w + ")(?!" + w + "))";
      return c == 'B' ? inside : "(?:(?<=" + w + ")(?!" + w + ")|(?<!" + w + ")(?=" + w + "))";
    }
    if (c == 'A' || c == 'z' || c == 'Z' || c == 'G' || c == 'R' || c == 'X' || c == 'k') {
      at_ += 2;
      return {'\\', c};
    }
    return escaped_character();
  }

  /// A class behind its "[", up to and with its "]": an expression that matches one character.
  std::string one_of_class(int depth) {
    if (depth > 32) refuse("classes nested deeper than 32");
    bool negated = false;
    if (peek() == '^') negated = true, ++at_;
    std::vector<std::string> sides;   // of &&
    std::vector<std::string> others;  // parts of this side that are no plain content
    std::string content;
    const auto close_side = [&] {
      if (!content.empty()) others.insert(others.begin(), class_of_content(content, false));
      if (others.empty()) refuse("an empty class");
      std::string side = others[0];
      for (size_t i = 1; i < others.size(); ++i) side += "|" + others[i];
      sides.push_back(others.size() > 1 ? "(?:" + side + ")" : side);
    };
    for (bool first = true;; first = false) {
      if (at_end()) refuse("a class without \"]\"");
      const char c = peek();
      if (c == ']' && !first) {
        ++at_;
        break;
      }
      if (c == '&' && peek(1) == '&') {
        at_ += 2;
        close_side();
        content.clear(), others.clear();
      } else if (c == '[' && peek(1) == ':' && pattern_.find(":]", at_) != pattern_.npos) {
        posix(content, others);
      } else if (c == '[') {
        ++at_;
        const bool plain = peek() != '^';
        const std::string inner = one_of_class(depth + 1);
        if (plain && inner.starts_with('['))
          content += inner.substr(1, inner.size() - 2);  // a union: its content is ours
        else
          others.push_back(inner);
      } else if (c == '\\') {
        std::string inner;
        bool not_in = false;
        if (!shorthand(Place::in_class, inner, not_in))
          content += escaped_character();
        else if (not_in)
          others.push_back(class_of_content(inner, true));
        else
          content += inner;
      } else {
        if (c == ']') content += '\\';
        content += c;
        ++at_;
      }
    }
    if (sides.empty() && others.empty() && !content.empty()) return class_of_content(content, negated);
    close_side();
    std::string all = sides.back();
    for (size_t i = sides.size() - 1; i-- > 0;) all = "(?:(?=" + sides[i] + ")" + all + ")";
    return negated ? "(?:(?!" + all + ")(?s:.))" : all;
  }

  void posix(std::string& content, std::vector<std::string>& others) {
    const size_t end = pattern_.find(":]", at_);
    std::string name = pattern_.substr(at_ + 2, end - at_ - 2);
    const bool negated = name.starts_with('^');
    if (negated) name.erase(0, 1);
    for (const auto& [known, inner] : posix_classes(Place::in_class)) {
      if (name != known) continue;
      at_ = end + 2;
      if (negated)
        others.push_back(class_of_content(inner, true));
      else
        content += inner;
      return;
    }
    refuse("[:" + name + ":]");
  }

  const std::string& pattern_;
  const std::string& what_;
  size_t at_ = 0;
  std::string out_;
  size_t atom_ = 0;             // where the last atom begins in out_
  std::vector<size_t> groups_;  // where the open groups begin
  bool quantified_ = false, last_braces_ = false, last_exact_ = false;
};

}  // namespace

std::string oniguruma_to_pcre(const std::string& pattern, const std::string& what) {
  return Translator(pattern, what).run();
}

}  // namespace data
