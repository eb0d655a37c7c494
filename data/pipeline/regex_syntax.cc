// Oniguruma's syntax rewritten for PCRE2: one pass that copies what both read alike. Read first: regex.h.
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
constexpr const char* alphabetic =
    R"(\p{L}\p{M}\p{Nl}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
constexpr const char* hexadecimal = "0-9A-Fa-f";

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

std::string letters() { return std::string(alphabetic) + newer("L") + newer("M"); }
std::string word_characters() {
  // The six numbers are in Oniguruma's \w, for reasons of its own.
  return letters() + R"(\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})" + newer("Nd");
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
  std::string property(bool& negated) {
    negated = pattern_[at_++] == 'P';
    if (peek() != '{') refuse("\\p without {}");
    const size_t end = pattern_.find('}', at_);
    if (end == pattern_.npos) refuse("\\p{ without }");
    std::string name = pattern_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    if (name.starts_with('^')) negated = !negated, name.erase(0, 1);
    if (name.find_first_of("\\[](){}=:") != name.npos || name.empty()) refuse("\\p{" + name + "}");
    for (const auto& [posix, content] : posix_classes())
      if (name.size() > 2 && equal_ignoring_case(name, posix)) return content;
    const bool category = name.size() <= 2;
    return "\\p{" + name + "}" + (category ? newer(name) : "");
  }

  static bool equal_ignoring_case(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i)
      if (std::tolower(uint8_t(a[i])) != std::tolower(uint8_t(b[i]))) return false;
    return true;
  }

  static const std::vector<std::pair<std::string, std::string>>& posix_classes() {
    static const std::vector<std::pair<std::string, std::string>> table = {
        {"alpha", letters()},
        {"alnum", letters() + "\\p{Nd}" + newer("Nd")},
        {"digit", "\\p{Nd}" + newer("Nd")},
        {"space", white_space},
        {"upper", "\\p{Uppercase}" + newer("Lu")},
        {"lower", "\\p{Lowercase}" + newer("Ll")},
        {"punct", "\\p{P}\\p{S}" + newer("P") + newer("S")},
        {"cntrl", "\\p{Cc}"},
        {"blank", "\\t\\p{Zs}"},
        {"word", word_characters()},
        {"xdigit", hexadecimal}};
    return table;
  }

  /// The content of the class that \s, \w, \d, \h, \p stand for; nothing when the escape is another one.
  bool shorthand(std::string& content, bool& negated) {
    const char c = peek(1);
    const char kind = char(std::tolower(uint8_t(c)));
    if (kind != 's' && kind != 'w' && kind != 'd' && kind != 'h' && kind != 'p') return false;
    ++at_;
    if (kind == 'p') {
      content = property(negated);
      return true;
    }
    ++at_;
    negated = c != kind;
    content = kind == 's'   ? white_space
              : kind == 'w' ? word_characters()
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
    if (shorthand(content, negated)) return class_of_content(content, negated);
    const char c = peek(1);
    if (c == 'b' || c == 'B') {
      at_ += 2;
      const std::string w = class_of_content(word_characters(), false);
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
        if (!shorthand(inner, not_in))
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
    for (const auto& [known, inner] : posix_classes()) {
      if (known != name) continue;
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
