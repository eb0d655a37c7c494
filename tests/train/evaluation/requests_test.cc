// Token ids of requests: white space at the seam, merges across it, empty contexts, tokens before a text.
#include <catch2/catch.hpp>

#include "data/byte_tokenizer.h"
#include "data/train_tokenizer.h"
#include "train/evaluation/zero_shot.h"

using namespace train;
using Catch::Matchers::Contains;
using Ids = std::vector<int32_t>;

namespace {

std::unique_ptr<data::Tokenizer> bytes() {
  return data::train_tokenizer({}, {.kind = data::TokenizerKind::byte, .special = {"<s>"}});
}

}  // namespace

TEST_CASE("white space that ends the context belongs to the continuation, Unicode's too") {
  const auto tokenizer = bytes();
  const int32_t s = int32_t(tokenizer->special_id("<s>"));
  const auto scored = [&](const std::string& context, const std::string& continuation,
                          const TextStart& start) {
    const ScoreRequest r = encode_request(*tokenizer, {context, continuation}, start);
    return Ids(r.ids.end() - ptrdiff_t(r.scored), r.ids.end());
  };
  const TextStart start{.alone = s};
  CHECK(scored("ab", " c", start).size() == 2);
  CHECK(scored("ab  ", "c", start).size() == 3);
  CHECK(scored("ab\xc2\xa0", "c", start).size() == 3);        // U+00A0
  CHECK(scored("ab\xe3\x80\x80\n", "c", start).size() == 5);  // U+3000
  CHECK(scored(" ab", "c", start).size() == 1);
  CHECK(encode_request(*tokenizer, {"ab", "c"}, {.before = {s}, .alone = s}).ids.size() == 4);
}

TEST_CASE("an empty context is one token, and a continuation that begins with it does not score it") {
  const auto tokenizer = bytes();
  const int32_t s = int32_t(tokenizer->special_id("<s>"));
  const ScoreRequest empty = encode_request(*tokenizer, {"", "ab"}, {.before = {s}, .alone = s});
  CHECK(empty.ids.front() == s);
  CHECK((empty.ids.size() == 3 && empty.scored == 2));
  const ScoreRequest spaces = encode_request(*tokenizer, {"  ", "ab"}, {.alone = s});
  CHECK((spaces.ids.size() == 5 && spaces.scored == 4));
  const ScoreRequest begun = encode_request(*tokenizer, {"", "<s>ab"}, {.alone = s});
  CHECK((begun.ids.size() == 3 && begun.scored == 2));
  CHECK_THROWS_WITH(encode_request(*tokenizer, {"", "ab"}, {}), Contains("no token that begins a text"));
  CHECK_THROWS_WITH(encode_request(*tokenizer, {"", "<s>"}, {.alone = s}),
                    Contains("has no tokens of its own"));
  CHECK_THROWS_WITH(encode_request(*tokenizer, {"ab", ""}, {.alone = s}),
                    Contains("has no tokens of its own"));
}

TEST_CASE("tokens are those of the joined text: a merge across the seam counts") {
  const std::string text = "abab abab abab abab";
  const std::string_view texts[] = {text};
  const auto tokenizer = data::train_tokenizer(
      texts, {.kind = data::TokenizerKind::bpe, .vocab_size = 259, .min_frequency = 1, .special = {"<s>"}});
  // "abab" is one token, "ab" too: behind "ab" the joined text has nothing left to score.
  const size_t whole = tokenizer->encode("abab").size(), half = tokenizer->encode("ab").size();
  REQUIRE((whole == 1 && half == 1));
  CHECK_THROWS_WITH(encode_request(*tokenizer, {"ab", "ab"}, {}), Contains("has no tokens of its own"));
  CHECK(encode_request(*tokenizer, {"ab", " ab"}, {}).scored >= 1);
}
