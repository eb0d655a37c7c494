// Read first: byte_tokenizer.h.
#include "data/byte_tokenizer.h"

#include "data/special_json.h"
#include "engine/base/check.h"

namespace data {
namespace {

std::vector<AddedToken> from_256_on(std::vector<AddedToken> special) {
  for (size_t i = 0; i < special.size(); ++i) special[i].id = TokenId(256 + i);
  return special;
}

}  // namespace

ByteTokenizer::ByteTokenizer(std::vector<AddedToken> special) : Tokenizer(from_256_on(std::move(special))) {}

std::unique_ptr<TextCounter> ByteTokenizer::counter() {
  class Nothing final : public TextCounter {
    void count(std::span<const std::string_view>) override {}
    std::unique_ptr<Tokenizer> learn(const TrainOptions& options) override {
      std::vector<AddedToken> special;
      for (const std::string& text : options.special) special.push_back({text});
      const size_t size = 256 + special.size();
      engine::check(options.vocab_size == 0 || options.vocab_size == size,
                    "tokenizer train: kind byte has exactly ", size,
                    " tokens (256 and the special ones), got vocabulary size ", options.vocab_size);
      return std::make_unique<ByteTokenizer>(std::move(special));
    }
  };
  return std::make_unique<Nothing>();
}

std::unique_ptr<Tokenizer> ByteTokenizer::from_json(const engine::SortedJson& json, const std::string& what) {
  return std::make_unique<ByteTokenizer>(read_special(json, {}, what));
}

std::string ByteTokenizer::to_json() const {
  return engine::exact_json_text(tokenizer_header(kind(), special_tokens()), "tokenizer.json", 1) + "\n";
}

void ByteTokenizer::encode_ordinary(std::string_view text, int, std::vector<TokenId>& out) const {
  for (const char byte : text) out.push_back(uint8_t(byte));
}

void ByteTokenizer::decode_ids(std::span<const TokenId> ids, std::string& out) const {
  for (const TokenId id : ids) {
    if (id < 256) {
      out += char(id);
    } else {
      out += special_tokens()[id - 256].text;
    }
  }
}

}  // namespace data
