// The answers to the exercises of docs/13-data.md.
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "data/bpe_train.h"
#include "data/clm_rows.h"
#include "data/masking.h"
#include "data/train_tokenizer.h"
#include "train/perplexity.h"

TEST_CASE("exercise 13.1: the first merges") {
  const std::vector<std::string_view> texts = {"aaabdaaabac"};
  const data::BpeModel model = data::learn_bpe(texts, {.vocab_size = 258, .min_frequency = 1});
  std::vector<std::string> merges;
  for (const data::BpeMerge& m : model.merges)
    merges.push_back(model.tokens[m.left] + "+" + model.tokens[m.right]);
  REQUIRE(merges.size() == 2);
  CHECK(merges[0] == "a+a");
  CHECK(merges[1] == "a+b");
}

TEST_CASE("exercise 13.2: bytes come back") {
  const std::vector<std::string_view> texts = {"abc"};
  const auto tokenizer = data::train_tokenizer(texts, {.kind = data::TokenizerKind::byte});
  const std::string text = "a\xff z";
  CHECK(tokenizer->decode(tokenizer->encode(text)) == text);
}

TEST_CASE("exercise 13.3: blocks") {
  std::vector<int32_t> ids(1000, 1);
  const auto tokens = data::TokenStream::of(ids, 10, 0);
  CHECK(data::clm_blocks(tokens, 64)->count() == 16);
  CHECK(1000 - 15 * 64 == 40);
}

TEST_CASE("exercise 13.4: masking") {
  const data::MaskRule rule = data::checked({.mask = 99, .vocabulary = 100});
  const int rows = 2000;
  double scored = 0, masked = 0;
  for (int row = 0; row < rows; ++row) {
    std::vector<int32_t> ids(100, 5), labels(100);
    data::mask_tokens(rule, 1, 0, row, ids, labels);
    for (size_t i = 0; i < 100; ++i) scored += labels[i] == 5, masked += ids[i] == 99;
  }
  CHECK(scored / rows == Approx(15).epsilon(0.02));
  CHECK(masked / rows == Approx(12).epsilon(0.03));
}

TEST_CASE("exercise 13.5: unigram entropy") {
  std::vector<int32_t> ids(400);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = int32_t(i % 4);
  const auto abcd = data::TokenStream::of(ids, 5, 4);
  CHECK(train::unigram_entropy(*abcd, nullptr) == Approx(std::log(4)));
}
