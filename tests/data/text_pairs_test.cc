// Rows of one and of two texts: special tokens around them, and what is cut.
#include "data/text_pairs.h"

#include <catch2/catch.hpp>

#include "data/text_case.h"
#include "data/train_tokenizer.h"
#include "engine/base/json.h"
#include "shared_data.h"

using namespace data;
using Catch::Matchers::Contains;
using engine::Json;

namespace {

std::unique_ptr<Tokenizer> bytes(const std::vector<std::string>& special) {
  return train_tokenizer({}, {.kind = TokenizerKind::byte, .special = special});
}

}  // namespace

TEST_CASE("a tokenizer without a post-processor gives RoBERTa's form, or BERT's by its names") {
  const auto roberta = bytes({"<s>", "<pad>", "</s>"});
  const PairForm form = pair_form(*roberta, "t");
  CHECK(form.special(false) == 2);
  CHECK(form.special(true) == 4);
  const std::vector<TokenId> a = {1, 2}, b = {3};
  const TextRow row = text_row(form, a, &b, 0);
  CHECK(row.ids == std::vector<int32_t>{256, 1, 2, 258, 258, 3, 258});
  CHECK(row.second == 5);
  CHECK(text_row(form, a, nullptr, 0).ids == std::vector<int32_t>{256, 1, 2, 258});
  CHECK(text_row(form, a, nullptr, 3).ids == std::vector<int32_t>{256, 1, 258});
  CHECK(form.pad == 257);
  const PairForm bert = pair_form(*bytes({"[CLS]", "[PAD]", "[SEP]"}), "t");
  CHECK(text_row(bert, a, &b, 0).ids == std::vector<int32_t>{256, 1, 2, 258, 3, 258});
  CHECK_THROWS_WITH(pair_form(*bytes({"<s>", "<pad>"}), "tok"), Contains("tok: no special token ends a text"));
  CHECK_THROWS_WITH(pair_form(*bytes({"</s>", "<pad>"}), "tok"), Contains("no special token begins a text"));
  CHECK_THROWS_WITH(pair_form(*bytes({"<s>", "</s>"}), "tok"), Contains("no special token pads"));
  CHECK_THROWS_WITH(text_row(form, a, &b, 3), Contains("no room for 4 special ones"));
}

TEST_CASE("longest_first cuts the longer text first, and an odd room goes to it") {
  const auto lengths = [](int64_t n, int64_t m, int64_t room) {
    const PairLengths l = longest_first(n, m, room);
    return std::pair{l.first, l.second};
  };
  CHECK(lengths(3, 4, 7) == std::pair<int64_t, int64_t>{3, 4});
  CHECK(lengths(3, 9, 7) == std::pair<int64_t, int64_t>{3, 4});
  CHECK(lengths(9, 3, 7) == std::pair<int64_t, int64_t>{4, 3});
  CHECK(lengths(9, 9, 7) == std::pair<int64_t, int64_t>{3, 4});
  CHECK(lengths(10, 9, 7) == std::pair<int64_t, int64_t>{4, 3});
  for (int64_t n = 0; n < 12; ++n)
    for (int64_t m = 0; m < 12; ++m)
      for (int64_t room = 0; room < 24; ++room) {
        const PairLengths l = longest_first(n, m, room);
        INFO(n << " " << m << " " << room);
        CHECK((l.first >= 0 && l.first <= n && l.second >= 0 && l.second <= m));
        CHECK(l.first + l.second == std::min(n + m, room));
      }
}

TEST_CASE("rows and cuts are those of transformers") {
  const std::string root = shared_path("reference/glue");
  if (root.empty()) return;
  const auto tokenizer = load_tokenizer(root + "/roberta-tiny");
  const PairForm form = pair_form(*tokenizer, root);
  int rows = 0;
  for (const Json& c : engine::read_json(root + "/truncation_longest_first.json")) {
    const auto a = tokenizer->encode(c["a"].get<std::string>());
    const auto b = tokenizer->encode(c["b"].get<std::string>());
    CHECK(text_row(form, a, &b, 0).ids == c["full"].get<std::vector<int32_t>>());
    CHECK(text_row(form, a, &b, c["length"].get<int64_t>()).ids == c["ids"].get<std::vector<int32_t>>());
    ++rows;
  }
  CHECK(rows == 40);
  for (const Json& c : engine::read_json(root + "/strip_examples.json")) {
    const std::string text = c["text"].get<std::string>();
    CHECK(text_row(form, tokenizer->encode(text), nullptr, 0).ids == c["raw"].get<std::vector<int32_t>>());
    CHECK(text_row(form, tokenizer->encode(std::string(strip(text))), nullptr, 0).ids ==
          c["stripped"].get<std::vector<int32_t>>());
  }
}
