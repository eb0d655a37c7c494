// Rewriting of plain strings: white space at the ends, replacing, a string in front, bytes as characters.
// Read first: normalizer.h.
#include "data/byte_alphabet.h"
#include "data/pipeline/character_sets.h"
#include "data/pipeline/normalizer.h"
#include "data/pipeline/text_pattern.h"
#include "data/utf8.h"

namespace data {
namespace {

class Strip final : public Normalizer {
 public:
  explicit Strip(const JsonPart& part)
      : left_(part.flag_or("strip_left", true)), right_(part.flag_or("strip_right", true)) {
    part.only({"strip_left", "strip_right"});
  }

  bool apply(std::string& text) const override {
    const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
    const uint8_t *first = begin, *last = begin + text.size();
    const auto is_space = [](Char c) { return c.code != invalid_char && is_white_space(c.code); };
    while (right_ && last > first) {
      const Char c = decode_char_before(first, last);
      if (!is_space(c)) break;
      last -= c.bytes;
    }
    while (left_ && first < last) {
      const Char c = decode_char(first, last);
      if (!is_space(c)) break;
      first += c.bytes;
    }
    text = std::string(first, last);
    return first > begin;
  }

 private:
  bool left_, right_;
};

class Replace final : public Normalizer {
 public:
  explicit Replace(const JsonPart& part) : pattern_(part, "pattern"), content_(part.text("content")) {
    part.only({"pattern", "content"});
  }

  bool apply(std::string& text) const override {
    std::string out;
    size_t from = 0;
    bool any = false;
    pattern_.each(text, [&](size_t begin, size_t end) {
      if (!any) out.reserve(text.size());
      any = true;
      out.append(text, from, begin - from).append(content_);
      from = end;
    });
    if (!any) return false;
    const bool dropped = out.empty();
    out.append(text, from);
    text = std::move(out);
    return dropped;
  }

 private:
  TextPattern pattern_;
  std::string content_;
};

class Prepend final : public Normalizer {
 public:
  explicit Prepend(const JsonPart& part) : front_(part.text("prepend")) { part.only({"prepend"}); }
  bool apply(std::string& text) const override {
    if (!text.empty()) text.insert(0, front_);
    return false;
  }

 private:
  std::string front_;
};

class ByteLevelNormalizer final : public Normalizer {
 public:
  bool apply(std::string& text) const override {
    text = bytes_to_alphabet(text);
    return false;
  }
};

}  // namespace

std::unique_ptr<Normalizer> make_strip(const JsonPart& part) { return std::make_unique<Strip>(part); }
std::unique_ptr<Normalizer> make_replace(const JsonPart& part) { return std::make_unique<Replace>(part); }
std::unique_ptr<Normalizer> make_prepend(const JsonPart& part) { return std::make_unique<Prepend>(part); }
std::unique_ptr<Normalizer> make_byte_level_normalizer(const JsonPart& part) {
  part.only({});
  return std::make_unique<ByteLevelNormalizer>();
}

}  // namespace data
