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

namespace {

constexpr size_t kBatchBytes = size_t(16) << 20;

void check_special(const std::vector<std::string>& special) {
  for (const std::string& token : special) {
    check(!token.empty(), "tokenizer train: a special token is empty");
    check(valid_utf8_prefix(token) == token.size(), "tokenizer train: a special token is not valid UTF-8");
    check(std::count(special.begin(), special.end(), token) == 1, "tokenizer train: special token \"", token,
          "\" is given twice");
  }
}

std::unique_ptr<TextCounter> counter_for(const TrainOptions& options) {
  check_special(options.special);
  switch (options.kind) {
    case TokenizerKind::bpe: return count_for_bpe(options.threads);
    case TokenizerKind::byte: return ByteTokenizer::counter();
    case TokenizerKind::character: return CharTokenizer::counter();
    case TokenizerKind::word: return WordTokenizer::counter();
    default: engine::fail("tokenizer train: kind ", kind_name(options.kind), " is read, not learned");
  }
}

}  // namespace

TokenizerTrainer::TokenizerTrainer(TrainOptions options)
    : options_(std::move(options)), counter_(counter_for(options_)) {}

void TokenizerTrainer::add(std::string&& document) {
  bytes_ += int64_t(document.size());
  batch_bytes_ += document.size();
  batch_.push_back(std::move(document));
  if (batch_bytes_ >= kBatchBytes) count_batch();
}

void TokenizerTrainer::count_batch() {
  const std::vector<std::string_view> views(batch_.begin(), batch_.end());
  counter_->count(views);
  batch_.clear(), batch_bytes_ = 0;
}

std::unique_ptr<Tokenizer> TokenizerTrainer::learn() {
  count_batch();
  return counter_->learn(options_);
}

std::unique_ptr<Tokenizer> train_tokenizer(std::span<const std::string_view> texts,
                                           const TrainOptions& options) {
  const std::unique_ptr<TextCounter> counter = counter_for(options);
  counter->count(texts);
  return counter->learn(options);
}

}  // namespace data
