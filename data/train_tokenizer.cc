// Read first: train_tokenizer.h.
#include "data/train_tokenizer.h"

#include <algorithm>

#include "data/bpe_train.h"
#include "data/byte_tokenizer.h"
#include "data/char_tokenizer.h"
#include "data/utf8.h"
#include "data/word_tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/text.h"

namespace data {

using engine::check;

TokenizerKind parse_trained_kind(const std::string& name) {
  std::vector<std::string> names;
  for (const TokenizerKind kind :
       {TokenizerKind::bpe, TokenizerKind::byte, TokenizerKind::character, TokenizerKind::word}) {
    if (name == kind_name(kind)) return kind;
    names.push_back(kind_name(kind));
  }
  engine::fail("tokenizer kind \"", name, "\": expected ", engine::one_of(names));
}

std::unique_ptr<Tokenizer> train_tokenizer(std::span<const std::string_view> texts,
                                           const TrainOptions& options) {
  for (size_t i = 0; i < options.special.size(); ++i) {
    const std::string& token = options.special[i];
    check(!token.empty(), "tokenizer train: a special token is empty");
    check(valid_utf8_prefix(token) == token.size(), "tokenizer train: a special token is not valid UTF-8");
    check(std::count(options.special.begin(), options.special.end(), token) == 1,
          "tokenizer train: special token \"", token, "\" is given twice");
  }
  switch (options.kind) {
    case TokenizerKind::bpe: return train_bpe(texts, options);
    case TokenizerKind::byte: return ByteTokenizer::train(options);
    case TokenizerKind::character: return CharTokenizer::train(texts, options);
    case TokenizerKind::word: return WordTokenizer::train(texts, options);
    default: engine::fail("tokenizer train: kind ", kind_name(options.kind), " is read, not learned");
  }
}

}  // namespace data
