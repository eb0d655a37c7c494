// BERT's rewriting: control characters go, white space becomes a space, ideographs stand alone, accents and
// capitals go. Read first: normalizer.h.
#include "data/pipeline/character_sets.h"
#include "data/pipeline/map_characters.h"
#include "data/pipeline/normalizer.h"
#include "data/unicode_form.h"

namespace data {
namespace {

class BertNormalizer final : public Normalizer {
 public:
  explicit BertNormalizer(const JsonPart& part)
      : clean_(part.flag_or("clean_text", true)),
        separate_(part.flag_or("handle_chinese_chars", true)),
        lower_(part.flag_or("lowercase", true)),
        strip_(part.flag_or("strip_accents", lower_)) {
    part.only({"clean_text", "handle_chinese_chars", "lowercase", "strip_accents"});
  }

  bool apply(std::string& text) const override {
    bool dropped = false;
    if (clean_) dropped = map_characters(text, clean) || dropped;
    if (separate_) map_characters(text, separate);
    if (strip_) {
      text = to_form(text, UnicodeForm::nfd,
                     [](uint32_t code) { return is_in(CharacterSet::undecomposed, code); });
      dropped = map_characters(text, strip_mark) || dropped;
    }
    if (lower_) map_characters(text, lower);
    return dropped;
  }

 private:
  static void clean(uint32_t code, std::string& out) {
    if (code == 0 || code == 0xFFFD || is_in(CharacterSet::control, code)) return;
    append_utf8(out, is_white_space(code) ? ' ' : code);
  }
  static void separate(uint32_t code, std::string& out) {
    if (!is_cjk_ideograph(code)) return append_utf8(out, code);
    out += ' ';
    append_utf8(out, code);
    out += ' ';
  }
  static void strip_mark(uint32_t code, std::string& out) {
    if (!is_in(CharacterSet::nonspacing_mark, code)) append_utf8(out, code);
  }
  static void lower(uint32_t code, std::string& out) {
    uint32_t second = 0;
    append_utf8(out, to_lower(code, second));
    if (second != 0) append_utf8(out, second);
  }

  bool clean_, separate_, lower_, strip_;
};

}  // namespace

std::unique_ptr<Normalizer> make_bert_normalizer(const JsonPart& part) {
  return std::make_unique<BertNormalizer>(part);
}

}  // namespace data
