// Split: cutting at a string or a regular expression; Whitespace: words and runs of other signs. Read first:
// pre_tokenizer.h, cutter.h, text_pattern.h.
#include "data/pipeline/character_sets.h"
#include "data/pipeline/cutter.h"
#include "data/pipeline/text_pattern.h"
#include "data/pretokenize.h"

namespace data {
namespace {

constexpr std::string_view gpt2_expression =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class Split final : public PreTokenizer {
 public:
  explicit Split(const JsonPart& part)
      : pattern_(part, "pattern"),
        behavior_(cut_behavior(part, CutBehavior::isolated)),
        invert_(part.flag_or("invert", false)),
        gpt2_(pattern_.is_regex() && pattern_.source() == gpt2_expression &&
              (invert_ ? behavior_ == CutBehavior::removed : behavior_ == CutBehavior::isolated)) {
    part.only({"pattern", "behavior", "invert"});
  }

  void split(const Piece& piece, const UsePiece& use) const override {
    if (gpt2_) return split_as_gpt2(piece, use);
    Cutter cutter(piece, behavior_, invert_, use);
    pattern_.each(piece.text, [&](size_t begin, size_t end) { cutter.match(begin, end); });
    cutter.finish();
  }

 private:
  /// GPT-2's own expression has a scanner.
  static void split_as_gpt2(const Piece& piece, const UsePiece& use) {
    bool first = piece.first;
    for_each_piece(piece.text, [&](const uint8_t* begin, const uint8_t* end) {
      use({{reinterpret_cast<const char*>(begin), size_t(end - begin)}, first});
      first = false;
    });
  }

  TextPattern pattern_;
  CutBehavior behavior_;
  bool invert_, gpt2_;
};

/// \w+|[^\w\s]+ and nothing else.
class Whitespace final : public PreTokenizer {
 public:
  void split(const Piece& piece, const UsePiece& use) const override {
    const auto* text = reinterpret_cast<const uint8_t*>(piece.text.data());
    const auto* end = text + piece.text.size();
    enum Kind { space, word, other };
    const auto kind_of = [](Char c) {
      if (c.code == invalid_char) return other;
      return is_white_space(c.code) ? space : is_word(c.code) ? word : other;
    };
    for (const uint8_t* p = text; p < end;) {
      const Kind kind = kind_of(decode_char(p, end));
      const uint8_t* next = p;
      while (next < end && kind_of(decode_char(next, end)) == kind) next += decode_char(next, end).bytes;
      if (kind != space)
        use({piece.text.substr(size_t(p - text), size_t(next - p)), piece.first && p == text});
      p = next;
    }
  }
};

}  // namespace

std::unique_ptr<PreTokenizer> make_split(const JsonPart& part) { return std::make_unique<Split>(part); }
std::unique_ptr<PreTokenizer> make_whitespace(const JsonPart& part) {
  part.only({});
  return std::make_unique<Whitespace>();
}

}  // namespace data
