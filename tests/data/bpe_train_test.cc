// Learning merges: the rule on a text one can follow by hand, Hugging Face's trainer on files, threads.
#include "data/bpe_train.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "data/byte_alphabet.h"
#include "data/train_tokenizer.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/sha256.h"
#include "shared_data.h"

using namespace data;

namespace {

BpeModel train(const std::vector<std::string_view>& texts, TrainOptions options) {
  return learn_bpe(texts, options);
}

std::string merge_lines(const BpeModel& model) {
  std::string lines;
  for (const BpeMerge& m : model.merges) {
    lines += bytes_to_alphabet(model.tokens[m.left]) + " " + bytes_to_alphabet(model.tokens[m.right]) + "\n";
  }
  return lines;
}

}  // namespace

TEST_CASE("the most frequent pair is merged first, ties by id") {
  // Pieces: "hug" 10, " pug" 5, " pun" 12, " bun" 4, " hugs" 5 (the example of Hugging Face's course, with
  // spaces).
  std::string text = "hug";
  const auto repeat = [&](const char* word, int times) {
    for (int i = 0; i < times; ++i) text += word;
  };
  repeat(" pug", 5), repeat(" pun", 12), repeat(" bun", 4), repeat(" hugs", 5), repeat(" hug", 9);
  const BpeModel model = train({text}, {.vocab_size = 256 + 7, .min_frequency = 1});
  // ug 20, then " p" 17 ("pu" has only 12 left), un 16, h+ug 15, " "+hug 14, " p"+un 12, and at 5 a tie: "
  // p"+ug is older than " hug"+s.
  CHECK(merge_lines(model) == "u g\nĠ p\nu n\nh ug\nĠ hug\nĠp un\nĠp ug\n");
}

TEST_CASE("overlapping pairs are merged from the left") {
  // aa aa a; then (aa, a) before (aa, aa), whose right id is larger.
  const BpeModel model = train({"aaaaa"}, {.vocab_size = 258, .min_frequency = 1});
  CHECK(merge_lines(model) == "a a\naa a\n");
}

TEST_CASE("merges equal those of Hugging Face's trainer", "[medium]") {
  const engine::Json goldens = engine::read_json(SOURCE_DIR "/tests/goldens/tokenizer.json");
  for (const engine::Json& golden : goldens["trained"]) {
    const std::string path = shared_path(golden["file"]);
    if (path.empty()) return;
    const std::string text = engine::read_file(path);
    std::string first;
    for (const int threads : {1, 2, 3, 8}) {
      const BpeModel model = train({text}, {.vocab_size = golden["vocab_size"],
                                            .min_frequency = golden["min_frequency"],
                                            .special = {"<s>", "</s>"},
                                            .threads = threads});
      INFO(path << ", " << threads << " threads");
      CHECK(model.tokens.size() == golden["tokens"]);
      CHECK(model.merges.size() == golden["merges"]);
      CHECK(engine::sha256_hex(merge_lines(model)) == golden["sha256"]);
    }
  }
}

TEST_CASE("documents are not joined and their order does not matter") {
  const TrainOptions options{.vocab_size = 300, .min_frequency = 1};
  CHECK(train({"abab", "cdcd"}, options).merges == train({"cdcd", "abab"}, options).merges);
  CHECK(merge_lines(train({"a", "b", "a", "b"}, options)).empty());
}

TEST_CASE("pieces are counted the same by any number of threads") {
  std::string text;
  for (int i = 0; i < 400'000; ++i) text += " word" + std::to_string(i % 997);
  const std::string_view whole = text;
  PieceCounts by_one(1);
  by_one.add({&whole, 1});
  const auto one = by_one.sorted();
  CHECK(one.size() == 998);  // " word" and the numbers
  for (const int threads : {2, 3, 8}) {
    PieceCounts by_many(threads);
    by_many.add(std::vector<std::string_view>{text, ""});
    const auto many = by_many.sorted();
    CHECK(std::equal(one.begin(), one.end(), many.begin(), many.end(),
                     [](const auto& a, const auto& b) { return a.piece == b.piece && a.count == b.count; }));
  }
}

TEST_CASE("special tokens come first and are never spelled by a merge") {
  const BpeModel model =
      train({"!!! !!! !!!"}, {.vocab_size = 300, .min_frequency = 1, .special = {"!!!", "<s>"}});
  CHECK(model.tokens[0] == "!!!");
  CHECK(model.tokens[1] == "<s>");
  CHECK(model.tokens[2] == "!");
  for (const BpeMerge& m : model.merges) CHECK(model.tokens[m.result] != "!!!");
  // Its own bytes need not be how files write it: " the" is "Ġthe" there, of a character's bytes each is one.
  const std::string_view text = " the the the 你好你好 ĠĠ ĠĠ\n\n\n\n";
  for (const std::string special : {" the", "你好", "好", "ĠĠ", "\n\n"}) {
    const auto tokenizer =
        train_tokenizer(std::span(&text, 1), {.vocab_size = 290, .min_frequency = 1, .special = {special}});
    CAPTURE(special);
    const auto again = parse_tokenizer(tokenizer->to_json(), "again");
    CHECK(again->encode(text) == tokenizer->encode(text));
    for (const TokenId id : tokenizer->encode(text)) CHECK(id != 0);
    CHECK(tokenizer->encode(special, SpecialText::recognised) == std::vector<TokenId>{0});
  }
}

TEST_CASE("BPE training refuses what cannot work") {
  const std::string empty;
  CHECK_THROWS_WITH(train({empty}, {}), "tokenizer train: there is no text to learn from");
  CHECK_THROWS_WITH(
      train({"text"}, {.vocab_size = 257, .special = {"<s>", "</s>"}}),
      "tokenizer train: a vocabulary of 257 is too small: kind bpe needs 258 (256 bytes and 2 special "
      "tokens)");
  CHECK_THROWS_WITH(train({"text"}, {.vocab_size = size_t(1) << 40}), Catch::Contains("above the limit"));
  CHECK_THROWS_WITH(train_tokenizer(std::vector<std::string_view>{"text"}, {.special = {"a"}}),
                    Catch::Contains("both written \"a\""));
}
