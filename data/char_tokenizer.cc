// Read first: char_tokenizer.h.
#include "data/char_tokenizer.h"

#include <algorithm>

#include "data/special_json.h"
#include "data/utf8.h"
#include "engine/base/check.h"

namespace data {

using engine::check;

namespace {

/// How often each code point stands in texts, which must be valid UTF-8.
class CharacterCounter final : public TextCounter {
 public:
  void count(std::span<const std::string_view> texts) override {
    for (const std::string_view text : texts) {
      const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
      const auto* end = begin + text.size();
      for (const uint8_t* p = begin; p < end;) {
        const Char c = decode_char(p, end);
        check(c.code != invalid_char, "tokenizer train: text ", texts_, " has invalid UTF-8 at byte ",
              p - begin, "; kind char needs valid text");
        ++counts_[c.code];
        p += c.bytes;
      }
      ++texts_;
    }
  }

  std::unique_ptr<Tokenizer> learn(const TrainOptions& options) override {
    std::vector<uint32_t> kept;
    bool dropped = false;
    for (uint32_t code = 0; code < counts_.size(); ++code) {
      if (counts_[code] >= std::max<uint64_t>(1, options.min_frequency))
        kept.push_back(code);
      else
        dropped |= counts_[code] > 0;
    }
    check(!kept.empty(), "tokenizer train: the text has no characters to learn from");
    std::vector<AddedToken> special;
    for (const std::string& text : options.special) special.push_back({text, TokenId(special.size())});
    if (options.vocab_size > 0 && special.size() + kept.size() > options.vocab_size) {
      if (options.vocab_size <= special.size()) {
        fail_vocabulary_too_small(options.vocab_size, special.size() + 1,
                                  "the special tokens and one character");
      }
      // The most frequent ones, the lower code point among equals; back in order of code points.
      std::stable_sort(kept.begin(), kept.end(),
                       [&](uint32_t a, uint32_t b) { return counts_[a] > counts_[b]; });
      kept.resize(options.vocab_size - special.size());
      std::sort(kept.begin(), kept.end());
      dropped = true;
    }
    auto tokenizer = std::make_unique<CharTokenizer>(std::move(special), std::move(kept));
    check(!dropped || tokenizer->special_id("<unk>") != no_token,
          "tokenizer train: characters are left out, which needs the special token \"<unk>\"");
    return tokenizer;
  }

 private:
  std::vector<uint64_t> counts_ = std::vector<uint64_t>(0x110000);
  int64_t texts_ = 0;
};

}  // namespace

CharTokenizer::CharTokenizer(std::vector<AddedToken> special, std::vector<uint32_t> characters)
    : Tokenizer(std::move(special)), characters_(std::move(characters)) {
  for (const uint32_t code : characters_) ids_[code] = TokenId(special_tokens().size() + ids_.size());
}

std::unique_ptr<TextCounter> CharTokenizer::counter() { return std::make_unique<CharacterCounter>(); }

std::unique_ptr<Tokenizer> CharTokenizer::from_json(const engine::SortedJson& json, const std::string& what) {
  std::vector<AddedToken> special = read_special(json, {"characters"}, what);
  std::vector<uint32_t> characters;
  for (const std::string& text : read_strings(json, "characters", what)) {
    const auto* p = reinterpret_cast<const uint8_t*>(text.data());
    const Char c = decode_char(p, p + text.size());
    check(c.code != invalid_char && c.bytes == text.size(), what, ": \"characters\": \"", text,
          "\" is not one character");
    check(characters.empty() || characters.back() < c.code, what, ": \"characters\" must ascend");
    characters.push_back(c.code);
  }
  check(!characters.empty(), what, ": \"characters\" is empty");
  return std::make_unique<CharTokenizer>(std::move(special), std::move(characters));
}

std::string CharTokenizer::to_json() const {
  engine::Json json = tokenizer_header(kind(), special_tokens());
  json["characters"] = engine::Json::array();
  for (const uint32_t code : characters_) {
    std::string text;
    append_utf8(text, code);
    json["characters"].push_back(text);
  }
  return engine::exact_json_text(json, "tokenizer.json", 1) + "\n";
}

void CharTokenizer::encode_ordinary(std::string_view text, int, std::vector<TokenId>& out) const {
  const TokenId unknown = special_id("<unk>");
  const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
  const auto* end = begin + text.size();
  for (const uint8_t* p = begin; p < end;) {
    const Char c = decode_char(p, end);
    const auto found = ids_.find(c.code);
    const TokenId id = found == ids_.end() ? unknown : found->second;
    check(id != no_token, "encode: the character \"",
          c.code == invalid_char ? "(invalid UTF-8)" : std::string(reinterpret_cast<const char*>(p), c.bytes),
          "\" at byte ", p - begin, " is not among the ", characters_.size(),
          " of the vocabulary, which has no \"<unk>\"");
    out.push_back(id);
    p += c.bytes;
  }
}

void CharTokenizer::decode_ids(std::span<const TokenId> ids, std::string& out) const {
  const size_t first = special_tokens().size();
  for (const TokenId id : ids) {
    if (id < first) {
      out += special_tokens()[id].text;
    } else {
      append_utf8(out, characters_[id - first]);
    }
  }
}

}  // namespace data
