// Oniguruma's syntax rewritten for PCRE2: one pass that copies what both read alike. Read first: regex.h,
// regex_classes.h.
#include <vector>

#include "data/pipeline/case_folds.h"
#include "data/pipeline/regex.h"
#include "data/pipeline/regex_classes.h"
#include "data/utf8.h"
#include "engine/base/check.h"

namespace data {

using engine::check;

namespace {

class Translator {
 public:
  Translator(const std::string& pattern, const std::string& what) : pattern_(pattern), what_(what) {}

  std::string run() {
    while (!at_end()) {
      const char c = peek();
      if (c == '\\') {
        escape_outside();
      } else if (c == '[') {
        ++at_;
        end_run();
        const bool negated = peek() == '^';  // of what it leaves out each character is folded by itself
        const std::string one = one_of_class(1);
        if (caseless_ && !negated)
          if (const LongFold* fold = long_fold_of_class(one, peek() == '+' || peek() == '*'))
            refuse_fold(*fold);
        atom(one);
      } else if (c == '(') {
        open_group();
      } else if (c == ')') {
        ++at_;
        check(groups_.size() > 1, what_, ": the regular expression has a \")\" too many");
        const bool repeated = !at_end() && std::string_view("*+?{").find(peek()) != std::string_view::npos;
        if (repeated || !groups_.back().plain) end_run();
        out_ += std::string(groups_.back().options, ')') + ')';
        atom_ = groups_.back().begin;
        caseless_ = groups_.back().caseless_before;
        groups_.pop_back();
        quantified_ = false;
      } else if (c == '{' || c == '*' || c == '+' || c == '?') {
        quantifier();
      } else {
        copy_character();
      }
    }
    end_run();
    return out_ + std::string(groups_[0].options, ')');
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
    // Characters that PCRE2's (?x) would leave out.
    for (const auto& [space, written] :
         {std::pair("\u0085", "\\x{85}"), std::pair("\u200E", "\\x{200E}"), std::pair("\u200F", "\\x{200F}"),
          std::pair("\u2028", "\\x{2028}"), std::pair("\u2029", "\\x{2029}")})
      if (text == space) return literal(written, space);
    if (text.find_first_of("|.^$") == text.npos) return literal(text, text);
    end_run();
    atom(text);
  }

  /// `text` stands for one character.
  void literal(const std::string& text, const std::string& character) {
    if (!caseless_) end_run();
    last_ = run_.size();
    if (caseless_) run_ += character;
    atom(text);
  }
  /// Characters that follow each other end here: none of their foldings may be a character's long one.
  void end_run() {
    if (const LongFold* fold = find_long_fold(run_)) refuse_fold(*fold);
    run_.clear();
    last_ = 0;
  }
  [[noreturn]] void refuse_fold(const LongFold& fold) const {
    std::string one;
    append_utf8(one, fold.code);
    refuse("under (?i) \"" + one + "\" is \"" + fold.folded + "\" there");
  }

  void open_group() {
    const bool plain = pattern_.compare(at_, 3, "(?:") == 0;
    if (!plain) end_run();
    groups_.push_back({out_.size(), plain, caseless_});
    out_ += '(', ++at_;
    if (peek() != '?') return;
    out_ += '?', ++at_;
    if (peek() == '<' || peek() == '#' || peek() == '=' || peek() == '!' || peek() == '>' || peek() == '~') {
      if (peek() == '~') refuse("the absence operator (?~…)");
      if (peek() == '#') refuse("a comment (?#…)");
      return;
    }
    // Options: Oniguruma's m is PCRE2's s; there is no other s.
    bool on = true;
    while (!at_end() && peek() != ':' && peek() != ')') {
      const char option = pattern_[at_++];
      if (option == '-') on = false;
      if (option == 'i') caseless_ = on;
      if (option == 'm')
        out_ += 's';
      else if (option == 'i' || option == 'x' || option == '-')
        out_ += option;
      else
        refuse(std::string("the option (?") + option + ")");
    }
    if (peek() == ':') out_ += ':', ++at_;
    if (peek() != ')' || pattern_[at_ - 1] == ':') return;
    // An option alone is a group up to the end of the one around it.
    ++at_;
    out_ += ':';
    groups_.pop_back();
    ++groups_.back().options;
  }

  /// A quantifier behind the last atom. "{2}+" and "{2}?" repeat or may leave out the repetition.
  void quantifier() {
    const std::string repeated = run_.substr(last_);
    run_.resize(last_);
    end_run();
    run_ = repeated;
    end_run();
    std::string text;
    bool braces = false;
    if (peek() == '{') {
      size_t end = at_ + 1;
      while (end < pattern_.size() && (std::isdigit(uint8_t(pattern_[end])) || pattern_[end] == ',')) ++end;
      text = pattern_.substr(at_ + 1, end - at_ - 1);
      const bool numbers = end < pattern_.size() && pattern_[end] == '}' && !text.empty() && text != ",";
      if (!numbers) {
        ++at_;
        return literal("\\{", "{");
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
    if (is("c") || is("cn")) {  // PCRE2's unassigned ones without those that are newer
      negated = !negated;
      std::string assigned = "\\P{" + name + "}" + (is("cn") ? newer("C") : "");
      for (const char* category : {"L", "M", "N", "P", "S", "Z"}) assigned += newer(category);
      return assigned;
    }
    if (is("alphabetic") || is("lowercase") || is("uppercase")) name.resize(5);  // alpha, lower, upper
    if (is("punct")) return "\\p{P}" + newer("P");  // [:punct:] takes symbols too
    for (const auto& [posix, content] : posix_classes(place))
      if (is(posix)) return content;
    if (is_script(name)) return script_class(name);
    const bool category = name.size() <= 2;
    return "\\p{" + name + "}" + (category ? newer(name) : "");
  }

  /// Of a property in a class. L lacks one character whose other cases are letters.
  void check_both_cases(std::string name, bool negated, std::string& content) const {
    if (!caseless_) return;
    if (name.starts_with('^')) name.erase(0, 1);
    for (char& c : name) c = char(std::tolower(uint8_t(c)));
    if (name == "l" && !negated)
      content += "\\x{345}";
    else if (name != "alphabetic" && !same_in_both_cases(name))
      refuse("\\p{" + name + "} in a class under (?i)");
  }

  /// The content of the class that \s, \w, \d, \h, \p stand for; nothing when the escape is another one.
  bool shorthand(Place place, std::string& content, bool& negated) {
    const char c = peek(1);
    const char kind = char(std::tolower(uint8_t(c)));
    if (kind != 's' && kind != 'w' && kind != 'd' && kind != 'h' && kind != 'p') return false;
    ++at_;
    if (kind == 'p') {
      const size_t begin = at_ + 2;
      content = property(place, negated);
      if (place == Place::in_class)
        check_both_cases(pattern_.substr(begin, at_ - 1 - begin), negated, content);
      return true;
    }
    ++at_;
    negated = c != kind;
    content = kind == 's'   ? white_space()
              : kind == 'w' ? word_characters(place)
              : kind == 'd' ? "\\p{Nd}" + newer("Nd")
                            : hexadecimal();
    return true;
  }

  /// An escape that stands for one character, in either place: \n, \u0041, \x{41}, \[ … Numbers of a byte
  /// that is no character alone are refused: Oniguruma puts such bytes together.
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
    if (c == 'x') {
      const size_t end = std::min(pattern_.find_first_not_of("0123456789abcdefABCDEF", at_ + 2), at_ + 4);
      const std::string digits = pattern_.substr(at_ + 2, end - at_ - 2);
      if (digits.empty() || (digits.size() == 2 && digits[0] >= '8'))
        refuse("\\x" + digits + ", no character");
      at_ += 2 + digits.size();
      return "\\x{" + digits + "}";
    }
    if (c >= '0' && c <= '9') {
      const size_t end = std::min(pattern_.find_first_not_of("0123456789", at_ + 1), at_ + 4);
      const std::string digits = pattern_.substr(at_ + 1, end - at_ - 1);
      if (digits.size() == 3 && digits[0] >= '2') refuse("\\" + digits + ", no character");
      at_ += 1 + digits.size();
      return "\\" + digits;
    }
    if (c == 'v') return at_ += 2, "\\x{B}";
    const bool plain = uint8_t(c) >= 0x80 || std::ispunct(uint8_t(c)) || c == ' ';
    const bool shared = std::string_view("tnrfae").find(c) != std::string_view::npos;
    if (!plain && !shared) refuse(std::string("\\") + c);
    at_ += 2;
    std::string text = {'\\', c};
    if (uint8_t(c) >= 0x80) text = std::string(1, c);
    while (!at_end() && (uint8_t(pattern_[at_]) & 0xC0) == 0x80) text += pattern_[at_++];
    return text;
  }

  void escape_outside() {
    const size_t from = at_;
    const std::string text = escape();
    if (text.starts_with("\\x{")) {
      std::string character;
      append_utf8(character, uint32_t(std::strtoul(text.c_str() + 3, nullptr, 16)));
      return literal(text, character);
    }
    const char c = pattern_[from + 1];
    if (uint8_t(c) >= 0x80) return literal(text, text);
    if (std::ispunct(uint8_t(c)) || c == ' ') return literal(text, {c});
    end_run();
    atom(text);
  }

  std::string escape() {
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

  /// What stands last in a class: "-" behind a character makes a range, elsewhere it is itself.
  enum class Last { nothing, character, dash, range, set };

  /// A class behind its "[", up to and with its "]": an expression that matches one character.
  std::string one_of_class(int depth) {
    if (depth > 32) refuse("classes nested deeper than 32");
    bool negated = false;
    if (peek() == '^') negated = true, ++at_;
    if (negated && caseless_ && depth > 1) refuse("a class that leaves out, in another under (?i)");
    std::vector<std::string> sides;   // of &&
    std::vector<std::string> others;  // parts of this side that are no plain content
    std::string content;
    Last last = Last::nothing;  // of this side
    const auto no_range = [&] {
      if (last == Last::dash) refuse("\"-\" between a character and a class");
    };
    const auto close_side = [&] {
      if (last == Last::dash) content.insert(content.size() - 1, "\\");  // "[a-]": no range
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
        if (caseless_) refuse("&& under (?i)");
        at_ += 2;
        close_side();
        content.clear(), others.clear();
        last = Last::nothing;
      } else if (c == '[' && peek(1) == ':' && pattern_.find(":]", at_) != pattern_.npos) {
        no_range();
        posix(content, others);
        last = Last::set;
      } else if (c == '[') {
        no_range();
        ++at_;
        const std::string inner = one_of_class(depth + 1);
        if (inner.starts_with('[') && !inner.starts_with("[^"))
          content += inner.substr(1, inner.size() - 2);  // a union: its content is ours
        else
          others.push_back(inner);
        last = Last::set;
      } else if (c == '\\') {
        std::string inner;
        bool not_in = false;
        if (!shorthand(Place::in_class, inner, not_in)) {
          content += escaped_character();
          last = last == Last::dash ? Last::range : Last::character;
          continue;
        }
        no_range();
        if (not_in)
          others.push_back(class_of_content(inner, true));
        else
          content += inner;
        last = Last::set;
      } else if (c == '-' && last == Last::character) {
        content += c, ++at_;
        last = Last::dash;
      } else {
        // What is no range must not become one, nor a negation, where the contents of classes are joined.
        if (c == '-' && last != Last::nothing && last != Last::dash && peek(1) == '-')
          refuse("\"--\" behind a range or a class");
        if (c == ']' || c == '-' || c == '^') content += '\\';
        content += c, ++at_;
        while (!at_end() && (uint8_t(pattern_[at_]) & 0xC0) == 0x80) content += pattern_[at_++];
        const bool ends_range = last == Last::dash || (c == '-' && last != Last::nothing);
        last = ends_range ? Last::range : Last::character;
      }
    }
    const bool plain = sides.empty() && others.empty() && !content.empty();
    close_side();
    if (plain) return class_of_content(content, negated);
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
      if (caseless_ && !same_in_both_cases(name)) refuse("[:" + name + ":] under (?i)");
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
  size_t atom_ = 0;  // where the last atom begins in out_
  struct Group {
    size_t begin;          // in out_
    bool plain;            // (?:
    bool caseless_before;  // whether (?i) holds around it
    size_t options = 0;    // options alone in it, each a group that ends with it
  };
  std::vector<Group> groups_ = {{0, true, false}};  // the open ones, within the whole
  bool caseless_ = false;                           // (?i) holds
  std::string run_;                                 // characters that follow each other, where it holds
  size_t last_ = 0;                                 // where the last of them begins in run_
  bool quantified_ = false, last_braces_ = false, last_exact_ = false;
};

}  // namespace

std::string oniguruma_to_pcre(const std::string& pattern, const std::string& what) {
  return Translator(pattern, what).run();
}

}  // namespace data
