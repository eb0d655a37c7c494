// The factory, and rewriting in a row. Read first: normalizer.h.
#include "data/pipeline/normalizer.h"

#include <vector>

namespace data {
namespace {

class NormalizerSequence final : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<std::unique_ptr<Normalizer>> steps) : steps_(std::move(steps)) {}
  bool apply(std::string& text) const override {
    bool dropped = false;
    for (const auto& step : steps_) dropped = step->apply(text) || dropped;
    return dropped;
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

std::unique_ptr<Normalizer> make_sequence(const JsonPart& part) {
  part.only({"normalizers"});
  std::vector<std::unique_ptr<Normalizer>> steps;
  for (const JsonPart& step : part.parts("normalizers")) steps.push_back(make_normalizer(step));
  return std::make_unique<NormalizerSequence>(std::move(steps));
}

constexpr PieceType<Normalizer> types[] = {{"Sequence", make_sequence},
                                           {"NFC", make_unicode_form},
                                           {"NFD", make_unicode_form},
                                           {"NFKC", make_unicode_form},
                                           {"NFKD", make_unicode_form},
                                           {"Lowercase", make_lowercase},
                                           {"StripAccents", make_strip_accents},
                                           {"Nmt", make_nmt},
                                           {"BertNormalizer", make_bert_normalizer},
                                           {"Strip", make_strip},
                                           {"Replace", make_replace},
                                           {"Prepend", make_prepend},
                                           {"ByteLevel", make_byte_level_normalizer},
                                           {"Precompiled", make_precompiled}};

}  // namespace

std::unique_ptr<Normalizer> make_normalizer(const JsonPart& part) { return make_piece(types, part); }

}  // namespace data
