// Rewriting by Unicode's tables: forms, lower case, accents, control characters. Read first: normalizer.h.
#include "data/pipeline/character_sets.h"
#include "data/pipeline/map_characters.h"
#include "data/pipeline/normalizer.h"
#include "data/unicode_form.h"

namespace data {
namespace {

class Form final : public Normalizer {
 public:
  explicit Form(UnicodeForm form) : form_(form) {}
  bool apply(std::string& text) const override {
    if (ascii_prefix(text) < text.size()) text = to_form(text, form_, undecomposed);
    return false;
  }

 private:
  static bool undecomposed(uint32_t code) { return is_in(CharacterSet::undecomposed, code); }
  UnicodeForm form_;
};

class Lowercase final : public Normalizer {
 public:
  bool apply(std::string& text) const override {
    return map_characters(text, [](uint32_t code, std::string& out) {
      uint32_t second = 0;
      append_utf8(out, to_lower(code, second));
      if (second != 0) append_utf8(out, second);
    });
  }
};

class StripAccents final : public Normalizer {
 public:
  bool apply(std::string& text) const override {
    return map_characters(text, [](uint32_t code, std::string& out) {
      if (!is_in(CharacterSet::mark, code)) append_utf8(out, code);
    });
  }
};

/// What SentencePiece's "nmt" rules clean away and take for a space.
class Nmt final : public Normalizer {
 public:
  bool apply(std::string& text) const override {
    return map_characters(text, [](uint32_t code, std::string& out) {
      if (!is_dropped(code)) append_utf8(out, is_blank(code) ? ' ' : code);
    });
  }

 private:
  static bool is_dropped(uint32_t code) {
    return (code >= 0x1 && code <= 0x8) || code == 0xB || (code >= 0xE && code <= 0x1F) || code == 0x7F ||
           code == 0x8F || code == 0x9F;
  }
  static bool is_blank(uint32_t code) {
    return code == '\t' || code == '\n' || code == 0xC || code == '\r' || code == 0x1680 ||
           (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 || code == 0x2581 ||
           code == 0xFEFF || code == 0xFFFD;
  }
};

}  // namespace

std::unique_ptr<Normalizer> make_unicode_form(const JsonPart& part) {
  part.only({});
  const std::string type = part.type();
  return std::make_unique<Form>(type == "NFC"    ? UnicodeForm::nfc
                                : type == "NFD"  ? UnicodeForm::nfd
                                : type == "NFKC" ? UnicodeForm::nfkc
                                                 : UnicodeForm::nfkd);
}

std::unique_ptr<Normalizer> make_lowercase(const JsonPart& part) {
  part.only({});
  return std::make_unique<Lowercase>();
}

std::unique_ptr<Normalizer> make_strip_accents(const JsonPart& part) {
  part.only({});
  return std::make_unique<StripAccents>();
}

std::unique_ptr<Normalizer> make_nmt(const JsonPart& part) {
  part.only({});
  return std::make_unique<Nmt>();
}

}  // namespace data
