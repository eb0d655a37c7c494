// Metaspace: SentencePiece's way with spaces. They become a visible character ("▁"), one more is put in
// front, and each piece begins with it. Read first: pre_tokenizer.h.
#include "data/pipeline/metaspace.h"

#include "data/pipeline/pre_tokenizer.h"
#include "engine/base/check.h"

namespace data {

MetaspaceOptions metaspace_options(const JsonPart& part) {
  part.only({"replacement", "str_rep", "add_prefix_space", "prepend_scheme", "split"});
  MetaspaceOptions options;
  options.replacement = part.character_or("replacement", options.replacement);
  options.split = part.flag_or("split", true);
  const std::string scheme = part.text_or("prepend_scheme", "always");
  engine::check(scheme == "always" || scheme == "first" || scheme == "never", part.what(),
                ": \"prepend_scheme\" is \"", scheme.substr(0, 64), "\"; expected always, first or never");
  options.prepend = scheme == "always"  ? PrependScheme::always
                    : scheme == "first" ? PrependScheme::first
                                        : PrependScheme::never;
  if (!part.flag_or("add_prefix_space", true)) {
    engine::check(!part.has("prepend_scheme") || scheme == "never", part.what(),
                  ": \"add_prefix_space\" is false and \"prepend_scheme\" is ", scheme);
    options.prepend = PrependScheme::never;
  }
  return options;
}

namespace {

class Metaspace final : public PreTokenizer {
 public:
  explicit Metaspace(const JsonPart& part) : options_(metaspace_options(part)) {}

  void split(const Piece& piece, const UsePiece& use) const override {
    const std::string& mark = options_.replacement;
    const bool marked = piece.text.starts_with(' ') || piece.text.starts_with(mark);
    const bool prepend = options_.prepend == PrependScheme::always ||
                         (options_.prepend == PrependScheme::first && piece.first);
    std::string text = prepend && !marked ? mark : "";
    text.reserve(piece.text.size() + piece.text.size() / 4);
    for (const char c : piece.text) {
      if (c == ' ')
        text += mark;
      else
        text += c;
    }
    if (!options_.split) return use({text, piece.first});
    const std::string_view whole = text;
    for (size_t begin = 0; begin < whole.size();) {
      const size_t end = std::min(whole.find(mark, begin + 1), whole.size());
      use({whole.substr(begin, end - begin), piece.first && begin == 0});
      begin = end;
    }
  }

 private:
  MetaspaceOptions options_;
};

}  // namespace

std::unique_ptr<PreTokenizer> make_metaspace(const JsonPart& part) {
  return std::make_unique<Metaspace>(part);
}

}  // namespace data
