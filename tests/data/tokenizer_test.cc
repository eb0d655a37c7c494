// The kinds byte, char and word, and what all kinds share: files, hashes, errors.
#include "data/tokenizer.h"
#include "data/train_tokenizer.h"

#include <catch2/catch.hpp>

#include "engine/base/check.h"
#include "engine/base/file.h"
#include "shared_data.h"
#include "temporary_folder.h"

using namespace data;
using Catch::Matchers::Contains;
using Ids = std::vector<TokenId>;

namespace {

std::unique_ptr<Tokenizer> train(std::string_view text, TrainOptions options) {
  return train_tokenizer(std::vector<std::string_view>{text}, options);
}

}  // namespace

TEST_CASE("every kind is the same after it was saved and loaded") {
  const std::string text = "the cat\nthe cap caf\u00E9\n";
  for (const TokenizerKind kind :
       {TokenizerKind::bpe, TokenizerKind::byte, TokenizerKind::character, TokenizerKind::word}) {
    const TemporaryFolder folder;
    TrainOptions options{.kind = kind, .special = {"<pad>", "\"quoted\\\" \u2581"}};
    if (kind == TokenizerKind::bpe) options.vocab_size = 262;
    const auto made = train(text, options);
    made->save(folder / "t");
    const auto loaded = load_tokenizer(folder / "t");
    INFO(kind_name(kind));
    CHECK(loaded->kind() == kind);
    CHECK(loaded->vocab_size() == made->vocab_size());
    CHECK(loaded->hash() == made->hash());
    CHECK(loaded->to_json() == engine::read_file(folder / "t/tokenizer.json"));
    CHECK(loaded->encode(text) == made->encode(text));
    CHECK(loaded->decode(loaded->encode(text)) == text);
    CHECK(loaded->special_id("<pad>") != no_token);
    CHECK(loaded->encode("<pad>", SpecialText::recognised)[0] == loaded->special_id("<pad>"));
    CHECK(load_tokenizer(folder / "t/tokenizer.json")->hash() == made->hash());
    CHECK(train(text, {.kind = kind, .vocab_size = options.vocab_size})->hash() != made->hash());
  }
}

TEST_CASE("bytes are their own ids and special tokens follow") {
  const auto tokenizer = train("", {.kind = TokenizerKind::byte, .special = {"<eos>"}});
  CHECK(tokenizer->vocab_size() == 257);
  CHECK(tokenizer->encode("A\xFF") == Ids{65, 255});
  CHECK(tokenizer->encode("A<eos>", SpecialText::recognised) == Ids{65, 256});
  CHECK(tokenizer->decode(Ids{65, 256, 255}) == "A<eos>\xFF");
  CHECK_THROWS_WITH(train("", {.kind = TokenizerKind::byte, .vocab_size = 300}),
                    Contains("exactly 256 tokens"));
}

TEST_CASE("characters are sorted, unknown ones are an error or <unk>") {
  const auto plain = train("b\u00E9a\n", {.kind = TokenizerKind::character});
  CHECK(plain->encode("\nab\u00E9") == Ids{0, 1, 2, 3});
  CHECK_THROWS_WITH(plain->encode("abc"), Contains("\"c\" at byte 2") && Contains("no \"<unk>\""));
  CHECK_THROWS_WITH(plain->encode("a\xFF"), Contains("invalid UTF-8"));
  const auto open =
      train("aaabbc", {.kind = TokenizerKind::character, .vocab_size = 3, .special = {"<unk>"}});
  CHECK(open->encode("abcd") == Ids{1, 2, 0, 0});
  CHECK_THROWS_WITH(train("aab", {.kind = TokenizerKind::character, .vocab_size = 1}), Contains("<unk>"));
  CHECK_THROWS_WITH(train("a\xFF", {.kind = TokenizerKind::character}), Contains("invalid UTF-8 at byte 1"));
  CHECK_THROWS_WITH(train("", {.kind = TokenizerKind::character}), Contains("no characters"));
  const std::string path = shared_path("data/tinyshakespeare/input.txt");
  if (!path.empty())
    CHECK(train(engine::read_file(path), {.kind = TokenizerKind::character})->vocab_size() == 65);
}

TEST_CASE("words are split at white space and lines end with <eos>") {
  const auto tokenizer = train("b a b\n c <unk> b\n", {.kind = TokenizerKind::word, .special = {"<pad>"}});
  CHECK(tokenizer->vocab_size() == 6);  // <unk> <eos> <pad> b a c
  CHECK(tokenizer->encode(" b  a\n\nzzz <unk>") == Ids{3, 4, 1, 1, 0, 0, 1});
  CHECK(tokenizer->encode("<pad> <eos>") == Ids{0, 0, 1});
  CHECK(tokenizer->encode("<pad> <eos>", SpecialText::recognised) == Ids{2, 1, 1});
  CHECK(tokenizer->decode(Ids{3, 4, 1, 1, 0, 1}) == "b a\n\n<unk>\n");
  CHECK_THROWS_WITH(train(" \n", {.kind = TokenizerKind::word}), Contains("no words"));
  CHECK_THROWS_WITH(train("a", {.kind = TokenizerKind::word, .vocab_size = 1}), Contains("too small"));
}

TEST_CASE("WikiText-103's published token counts come out of kind word") {
  const std::string test = shared_path("data/wikitext-103/wiki.test.tokens");
  if (test.empty()) return;
  const std::string valid = shared_path("data/wikitext-103/wiki.valid.tokens");
  const auto tokenizer = train(engine::read_file(valid), {.kind = TokenizerKind::word});
  CHECK(tokenizer->encode(engine::read_file(test)).size() == 245569);
  CHECK(tokenizer->encode(engine::read_file(valid)).size() == 217646);
}

TEST_CASE("bad tokenizer files give one clear line") {
  const auto parse = [](const std::string& json) { return parse_tokenizer(json, "t.json"); };
  const std::string head = R"({"format": "normlab-tokenizer", "version": 1, )";
  CHECK_THROWS_WITH(load_tokenizer("/nowhere"), Contains("/nowhere: cannot open"));
  CHECK_THROWS_WITH(parse("{"), Contains("t.json: not valid JSON"));
  CHECK_THROWS_WITH(parse("[1]"), Contains("expected a JSON object"));
  CHECK_THROWS_WITH(parse("{}"), Contains("neither"));
  CHECK_THROWS_WITH(parse("{\"model\": \"\xFF\"}"), Contains("not valid JSON"));
  CHECK_THROWS_WITH(parse(R"({"format": "normlab-tokenizer", "version": 2})"), Contains("version 1"));
  CHECK_THROWS_WITH(parse(head + R"("kind": "chars"})"),
                    Contains("\"chars\": expected bpe, byte, char or word"));
  CHECK_THROWS_WITH(parse(head + R"("kind": "bpe"})"), Contains("Hugging Face"));
  CHECK_THROWS_WITH(parse(head + R"("kind": "byte", "special": [], "words": []})"),
                    Contains("unknown key \"words\""));
  CHECK_THROWS_WITH(parse(head + R"("kind": "byte", "special": ["a", "a"]})"), Contains("appears twice"));
  CHECK_THROWS_WITH(parse(head + R"("kind": "char", "special": [], "characters": ["b", "a"]})"),
                    Contains("ascend"));
  CHECK_THROWS_WITH(parse(head + R"("kind": "char", "special": [], "characters": ["ab"]})"),
                    Contains("not one character"));
  CHECK_THROWS_WITH(parse(head + R"("kind": "char", "special": [], "characters": []})"),
                    Contains("is empty"));
  CHECK_THROWS_WITH(parse(head + R"("kind": "word", "special": ["<unk>"], "words": []})"),
                    Contains("\"<eos>\""));
  CHECK_THROWS_WITH(parse(head + R"("kind": "word", "special": ["<unk>", "<eos>"], "words": [1]})"),
                    Contains("not a string"));
  CHECK_THROWS_WITH(parse(head + R"("kind": "word", "special": ["<unk>", "<eos>"], "words": ["<eos>"]})"),
                    Contains("both a word and a special token"));
}

TEST_CASE("special tokens that cannot be are refused") {
  CHECK_THROWS_WITH(train("x", {.special = {""}}), Contains("is empty"));
  CHECK_THROWS_WITH(train("x", {.special = {"\xFF"}}), Contains("UTF-8"));
  CHECK_THROWS_WITH(train("x", {.special = {"<s>", "<s>"}}), Contains("given twice"));
}
