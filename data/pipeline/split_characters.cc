// Cutting at single characters of some set: white space, punctuation, digits, a delimiter; and every n
// characters. Read first: pre_tokenizer.h, cutter.h, character_sets.h.
#include "data/pipeline/character_sets.h"
#include "data/pipeline/cutter.h"
#include "data/utf8.h"
#include "engine/base/check.h"

namespace data {
namespace {

/// Cuts at each character of a set.
template <class IsMatch>
class CharacterSplit final : public PreTokenizer {
 public:
  CharacterSplit(IsMatch is_match, CutBehavior behavior) : is_match_(is_match), behavior_(behavior) {}

  void split(const Piece& piece, const UsePiece& use) const override {
    Cutter cutter(piece, behavior_, false, use);
    const auto* text = reinterpret_cast<const uint8_t*>(piece.text.data());
    const auto* end = text + piece.text.size();
    for (const uint8_t* p = text; p < end;) {
      const Char c = decode_char(p, end);
      if (c.code != invalid_char && is_match_(c.code))
        cutter.match(size_t(p - text), size_t(p - text) + c.bytes);
      p += c.bytes;
    }
    cutter.finish();
  }

 private:
  IsMatch is_match_;
  CutBehavior behavior_;
};

template <class IsMatch>
std::unique_ptr<PreTokenizer> cut_at(IsMatch is_match, CutBehavior behavior) {
  return std::make_unique<CharacterSplit<IsMatch>>(is_match, behavior);
}

bool is_punctuation(uint32_t code) { return is_in(CharacterSet::punctuation, code); }

/// BERT: white space goes, punctuation stands alone.
class BertPreTokenizer final : public PreTokenizer {
 public:
  void split(const Piece& piece, const UsePiece& use) const override {
    words_->split(piece, [&](const Piece& word) { signs_->split(word, use); });
  }

 private:
  std::unique_ptr<PreTokenizer> words_ = cut_at(is_white_space, CutBehavior::removed);
  std::unique_ptr<PreTokenizer> signs_ = cut_at(is_punctuation, CutBehavior::isolated);
};

class FixedLength final : public PreTokenizer {
 public:
  explicit FixedLength(size_t length) : length_(length) {}
  void split(const Piece& piece, const UsePiece& use) const override {
    const auto* text = reinterpret_cast<const uint8_t*>(piece.text.data());
    const auto* end = text + piece.text.size();
    for (const uint8_t* p = text; p < end;) {
      const uint8_t* next = p;
      for (size_t i = 0; i < length_ && next < end; ++i) next += decode_char(next, end).bytes;
      use({piece.text.substr(size_t(p - text), size_t(next - p)), piece.first && p == text});
      p = next;
    }
  }

 private:
  size_t length_;
};

}  // namespace

std::unique_ptr<PreTokenizer> make_whitespace_split(const JsonPart& part) {
  part.only({});
  return cut_at(is_white_space, CutBehavior::removed);
}

std::unique_ptr<PreTokenizer> make_punctuation(const JsonPart& part) {
  part.only({"behavior"});
  return cut_at(is_punctuation, cut_behavior(part, CutBehavior::isolated));
}

std::unique_ptr<PreTokenizer> make_digits(const JsonPart& part) {
  part.only({"individual_digits"});
  const bool alone = part.flag_or("individual_digits", false);
  return cut_at(is_number, alone ? CutBehavior::isolated : CutBehavior::contiguous);
}

std::unique_ptr<PreTokenizer> make_bert_pre_tokenizer(const JsonPart& part) {
  part.only({});
  return std::make_unique<BertPreTokenizer>();
}

std::unique_ptr<PreTokenizer> make_delimiter_split(const JsonPart& part) {
  part.only({"delimiter"});
  engine::check(part.has("delimiter"), part.what(), ": \"delimiter\" is missing");
  const std::string delimiter = part.character_or("delimiter", "");
  const auto* p = reinterpret_cast<const uint8_t*>(delimiter.data());
  const uint32_t code = decode_char(p, p + delimiter.size()).code;
  return cut_at([code](uint32_t c) { return c == code; }, CutBehavior::removed);
}

std::unique_ptr<PreTokenizer> make_fixed_length(const JsonPart& part) {
  part.only({"length"});
  return std::make_unique<FixedLength>(size_t(part.number_or("length", 5, 1, INT32_MAX)));
}

}  // namespace data
