// The pieces of tokenizer.json against Hugging Face's tokenizers (tests/goldens/pipeline.py), and what no
// golden holds: time that grows with the text, bytes that are no characters, files that are refused.
#include "data/pipeline/pipeline_tokenizer.h"

#include <catch2/catch.hpp>

#include "data/pipeline/regex.h"
#include "data/tokenizer.h"
#include "data/unicode_form.h"
#include "data/utf8.h"
#include "data/whole_words.h"
#include "engine/base/json.h"
#include "engine/base/philox.h"

using namespace data;
using Catch::Matchers::Contains;
using engine::SortedJson;
using Ids = std::vector<TokenId>;

namespace {

SortedJson goldens() {
  return engine::parse_sorted_json(engine::read_json(SOURCE_DIR "/tests/goldens/pipeline.json").dump(),
                                   "goldens");
}

/// tokenizers writes U+FFFD for bytes that are no characters; decoding here keeps them.
std::string well_formed_part(const std::string& text) {
  std::string out;
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  for (const auto* end = p + text.size(); p < end;) {
    const Char c = decode_char(p, end);
    if (c.code != invalid_char && c.code != 0xFFFD) append_utf8(out, c.code);
    p += c.bytes;
  }
  return out;
}

/// A tokenizer of single characters with the given parts.
std::unique_ptr<Tokenizer> characters(const std::string& parts, const std::string& alphabet) {
  std::string vocabulary;
  for (size_t i = 0; i < alphabet.size(); ++i)
    vocabulary +=
        (i == 0 ? "" : ", ") + engine::Json(alphabet.substr(i, 1)).dump() + ": " + std::to_string(i);
  return parse_tokenizer("{" + parts +
                             R"("model": {"type": "BPE", "merges": [], "unk_token": "?", "vocab": {)" +
                             vocabulary + "}}}",
                         "t.json");
}

}  // namespace

TEST_CASE("tokenizers of every kind give the ids and the text that Hugging Face's tokenizers gives") {
  const SortedJson all = goldens();
  size_t compared = 0;
  for (const auto& [name, golden] : all["tokenizers"].items()) {
    const auto read = parse_tokenizer(golden["file"].dump(), name);
    const auto again = parse_tokenizer(read->to_json(), name + ", written again");
    CHECK(again->to_json() == read->to_json());
    for (const Tokenizer* tokenizer : {read.get(), again.get()}) {
      for (size_t i = 0; i < all["texts"].size(); ++i) {
        const std::string text = all["texts"][i];
        const SortedJson& row = golden["rows"][i];
        INFO(name << ", text " << i << ": " << text);
        const Ids ids = tokenizer->encode(text, SpecialText::recognised);
        CHECK(ids == row["ids"].get<Ids>());
        CHECK(tokenizer->encode(text) == row["ordinary"].get<Ids>());
        CHECK(tokenizer->with_special_tokens(ids) == row["with_special"].get<Ids>());
        CHECK(tokenizer->with_special_tokens(ids, tokenizer->encode("the cat")) == row["pair"].get<Ids>());
        CHECK(well_formed_part(tokenizer->decode(ids)) == well_formed_part(row["decoded"]));
        ++compared;
      }
    }
  }
  CHECK(compared == 2 * 17 * 21);
}

TEST_CASE("bytes that are no characters pass through every stage") {
  const SortedJson all = goldens();
  engine::Rng rng{3};
  for (const auto& [name, golden] : all["tokenizers"].items()) {
    const auto tokenizer = parse_tokenizer(golden["file"].dump(), name);
    INFO(name);
    for (int round = 0; round < 30; ++round) {
      std::string text;
      for (uint64_t n = rng.below(40); n > 0; --n) text += char(rng.below(3) == 0 ? ' ' : rng.below(256));
      const Ids ids = tokenizer->encode(text, SpecialText::recognised);
      for (const TokenId id : ids) CHECK(id < tokenizer->vocab_size());
      if (name == "gpt2" || name == "llama3") CHECK(tokenizer->decode(ids) == text);
    }
  }
}

TEST_CASE("roles come from the template, then from names") {
  const SortedJson all = goldens();
  const auto roles = [&](const char* name) {
    return parse_tokenizer(all["tokenizers"][name]["file"].dump(), name)->roles();
  };
  CHECK(roles("bert").begin == 2);
  CHECK(roles("bert").end == 3);
  CHECK(roles("bert").mask == 4);
  CHECK(roles("bert").pad == 0);
  CHECK(roles("xglm").begin == 2);  // its texts begin with </s>
  CHECK(roles("llama2").begin == 1);
  CHECK(roles("llama2").unknown == 0);
  CHECK(roles("words").begin == no_token);
}

TEST_CASE("tokens of SentencePiece and BERT begin words where a space would stand") {
  const SortedJson all = goldens();
  const auto edge = [&](const char* name, const std::string& text) {
    const auto tokenizer = parse_tokenizer(all["tokenizers"][name]["file"].dump(), name);
    return word_edges(*tokenizer).at(tokenizer->encode(text).back());
  };
  CHECK(edge("xglm", "a ca") == WordEdge::before);       // "▁ca"
  CHECK(edge("llama2", "the cat") == WordEdge::inside);  // "at"
  CHECK(edge("bert", "cat the") == WordEdge::before);
  CHECK(edge("bert", "newest lowers") == WordEdge::inside);  // "##s"
  CHECK(edge("gpt2", " the") == WordEdge::before);
}

TEST_CASE("long texts cost time that grows with them", "[medium]") {
  const SortedJson all = goldens();
  const size_t million = 1'000'000;
  std::string marks = "a", specials;
  for (size_t i = 0; i < million / 4; ++i) marks += i % 2 == 0 ? "\u0301" : "\u0316";
  for (size_t i = 0; i < million / 8; ++i) specials += "<s> ab";
  const std::string texts[] = {std::string(million, 'a'),
                               std::string(million, ' '),
                               std::string(million, ' ') + "x",
                               marks,
                               specials,
                               std::string(million, '\n') + "x"};
  for (const char* name :
       {"gpt2", "llama3", "qwen", "llama2", "gemma", "prefix", "bert cased", "xglm", "t5"}) {
    const auto tokenizer = parse_tokenizer(all["tokenizers"][name]["file"].dump(), name);
    for (const std::string& text : texts)
      CHECK(tokenizer->encode(text, SpecialText::recognised).size() <= 3 * text.size());
  }
}

TEST_CASE("marks are ordered in time n log n, and as utf8proc orders few") {
  std::string many = "a";
  for (int i = 0; i < 50'000; ++i) many += "\u0301\u0316";
  const std::string formed = to_form(many, UnicodeForm::nfc);
  CHECK(formed.size() == many.size() - 1);          // a and the first U+0301 became one letter
  CHECK(formed.starts_with("\u00E1\u0316\u0316"));  // class 220 before class 230
  CHECK(to_form("e\u0323\u0302", UnicodeForm::nfc) == "\u1EC7");
  CHECK(to_form("\u1EC7x", UnicodeForm::nfd) == "e\u0323\u0302x");
  CHECK(to_form("\uFB01\u00B2", UnicodeForm::nfkc) == "fi2");
  CHECK(to_form("\uAC00", UnicodeForm::nfd) == "\u1100\u1161");
  CHECK(to_form("a\xFF\u0301\xC3", UnicodeForm::nfc) == "a\xFF\u0301\xC3");
}

TEST_CASE("added tokens: which are found, where several could be") {
  const auto encode = [](const std::string& tokens, const std::string& text, SpecialText special) {
    return characters("\"added_tokens\": [" + tokens + "], ", "ab ?")->encode(text, special);
  };
  const std::string ab = R"({"id": 4, "content": "ab", "special": true, "normalized": false})",
                    aba = R"({"id": 5, "content": "aba", "special": false, "normalized": true})",
                    b = R"({"id": 5, "content": "b", "special": false, "normalized": false})";
  CHECK(encode(ab, "aab", SpecialText::recognised) == Ids{0, 4});
  CHECK(encode(ab, "aab", SpecialText::ordinary) == Ids{0, 0, 1});
  CHECK(encode(ab + ", " + aba, "aba", SpecialText::recognised) == Ids{4, 0});  // not normalized: first
  CHECK(encode(ab + ", " + aba, "aba", SpecialText::ordinary) == Ids{5});
  CHECK(encode(ab + ", " + b, "abb", SpecialText::ordinary) == Ids{0, 1, 1});  // "ab" hides the "b" in it
  const std::string word = R"({"id": 4, "content": "a", "single_word": true, "special": false})";
  CHECK(encode(word, "a aa", SpecialText::ordinary) == Ids{0, 2, 0, 0});
  CHECK_THROWS_WITH(
      characters(R"("normalizer": {"type": "Strip"}, "added_tokens": [{"id": 4, "content": "  ", )"
                 R"("normalized": true}], )",
                 "ab ?"),
      Contains("leaves nothing of it"));
}

TEST_CASE("an added token's id stands behind every entry of a list of scores") {
  const auto ids = [](const std::string& more) {
    return parse_tokenizer(
               R"({"added_tokens": [{"id": 3, "content": "<x>"}], "model": {"type": "Unigram", "unk_id": 0, )"
               R"("vocab": [["?", 0], ["a", -1])" +
                   more + "]}}",
               "t.json")
        ->encode("a<x>");
  };
  CHECK(ids("") == Ids{1, 2});
  CHECK(ids(R"(, ["a", -2])") == Ids{2, 3});  // of equal texts the last one counts
  CHECK(ids(R"(, ["", -2])") == Ids{1, 3});
}

TEST_CASE("many added tokens cost no more time a match than one") {
  std::string tokens;
  for (int i = 0; i < 20'000; ++i)
    tokens += (i == 0 ? "" : ", ") + std::string(R"({"id": 4, "content": "<)") + std::to_string(i) + R"(>"})";
  const auto tokenizer = characters("\"added_tokens\": [" + tokens + "], ", "ab ?");
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "<" + std::to_string(i) + ">a";
  const Ids ids = tokenizer->encode(text, SpecialText::recognised);
  CHECK(ids.size() == 40'000);
  CHECK(ids[0] == 4);
  CHECK(ids[2] == 5);
}

TEST_CASE("models of characters get ByteLevel's bytes written as characters") {
  const std::string parts = R"("pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "model": )";
  const auto ids = [&](const std::string& model, const std::string& text) {
    return parse_tokenizer("{" + parts + model + "}", "t.json")->encode(text);
  };
  // é is the bytes C3 A9, which are written Ã and ©.
  const std::string unigram =
      R"({"type": "Unigram", "unk_id": 0, "vocab": [["?", 0], ["Ã", -1], ["©", -2], ["Ġa", -3]]})";
  CHECK(ids(unigram, "é a") == Ids{1, 2, 3});
  const std::string suffix = R"({"type": "BPE", "merges": ["Ã ©</w>"], "end_of_word_suffix": "</w>",
    "vocab": {"Ã": 0, "©</w>": 1, "Ã©</w>": 2}})";
  CHECK(ids(suffix, "é") == Ids{2});
}

TEST_CASE("an expression that matches nothing finds none in no text") {
  const auto tokenizer = characters(R"("decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"},
    {"type": "Replace", "pattern": {"Regex": "x*"}, "content": "y"}]}, )",
                                    "?a");
  CHECK(tokenizer->decode(Ids{}) == "");
  CHECK(tokenizer->decode(Ids{1}) == "yay");
}

TEST_CASE("Oniguruma's expressions in PCRE2's words") {
  const auto found = [](const std::string& expression, const std::string& text) {
    std::vector<std::string> out;
    Regex(expression, "test").each(text, [&](const Regex::Match& m) {
      out.push_back(text.substr(m.begin, m.end - m.begin));
    });
    return out;
  };
  using Found = std::vector<std::string>;
  CHECK(found(R"([a[bc]]+)", "abcd") == Found{"abc"});
  CHECK(found(R"([^a[bc]])", "abcd") == Found{"d"});
  CHECK(found(R"([^[\P{L}]]+)", "a1-b") == Found{"a", "b"});
  CHECK(found(R"([a[\S]]+)", "-b a") == Found{"-b", "a"});
  CHECK(found(R"([a-d&&[^b]])", "abcd") == Found{"a", "c", "d"});
  CHECK(found(R"([^(\s|[.,])]+)", "a (b,c") == Found{"a", "b", "c"});
  CHECK(found(R"(\h+)", "xyFf0z") == Found{"Ff0"});
  CHECK(found(R"(\s$)", "a \nb ") == Found{" ", " "});
  CHECK(found("(?m:a.b)", "a\nb") == Found{"a\nb"});
  CHECK(found(R"(\p{N}{2}+)", "1234567") == Found{"123456"});
  CHECK(found(R"(a{,2}b)", "aaab") == Found{"aab"});
  CHECK(found(R"(\u0061)", "ba") == Found{"a"});
  CHECK(found(R"([[:punct:]]+)", "a$.b") == Found{"$."});
  CHECK(found(R"(\p{L}+)", "x\U00016D69 \U00010D69y") == Found{"x\U00016D69", "y"});
  CHECK(found(R"(\p{^L})", "a1") == Found{"1"});
  CHECK(found("x*", "axx") == Found{"", "xx"});
  CHECK(found("(?x: \u2028 a)", "a\u2028a") == Found{"\u2028a"});
  // A script without the characters that others share with it, with those of Unicode 15.
  CHECK(found(R"(\p{Han}+)", "中、\u300c国\U00031350 a\ua705") == Found{"中", "国\U00031350"});
  CHECK(found(R"([\p{Katakana}\p{Hiragana}]+)", "あーア゛") == Found{"あ", "ア"});
  CHECK(found(R"(\p{Yi})", "ꀀ、") == Found{"ꀀ"});
  // The property is without symbols; marks that are no letters' are not alphabetic, but in \w.
  CHECK(found(R"(\p{Punct}+)", "a$.b<`_") == Found{".", "_"});
  CHECK(found(R"([[:alpha:]]+)", "a\u0301b\u0345") == Found{"a", "b\u0345"});
  CHECK(found(R"(\p{^Alnum})", "a\ufe0f1\u0903") == Found{"\ufe0f"});
  CHECK(found(R"(\p{Lowercase}+)", "a\u10fcA\U0001e030") == Found{"a\u10fc", "\U0001e030"});
  CHECK(found(R"(\w+)", "a\u0301½_") == Found{"a\u0301½_"});
  CHECK(found(R"([\w]+)", "a\u0301½_²") == Found{"a\u0301", "_"});
  CHECK(found(R"([^\w\s]+)", "a½ ²b") == Found{"½", "²"});
  // "-" makes no range with what is another class, and "^" no negation.
  CHECK(found("[[a]-c]", "abc-") == Found{"a", "c", "-"});
  CHECK(found("[a[b]-]|[x-z-]", "ab-y") == Found{"a", "b", "-", "y"});
  CHECK(found("[a-c&&[-]b-]", "ab-") == Found{"b"});
  CHECK(found("[a&&^a]", "ab^") == Found{"a"});
  CHECK(found("[é-ü-z]", "éüz-ÿ") == Found{"é", "ü", "z", "-"});
  CHECK(found("[--/]", "./-0") == Found{".", "/", "-"});
  for (const char* range : {"[a-[b]]", R"([a-\d])", "[a-[:digit:]]"})
    CHECK_THROWS_WITH(Regex(range, "t.json: x"), Contains("between a character and a class"));
  // An option alone holds to the end of its group, alternatives included.
  CHECK(found("a(?i)b|c", "ac c aB") == Found{"ac", "aB"});
  CHECK(found("(x(?m).|b)c", "xbc bc xc") == Found{"xbc"});
  CHECK(found(R"(\x41{2}+b)", "AAAAb") == Found{"AAAAb"});
  CHECK(found(R"(\p{Cn}+)", "a\u0378\u0897\ue000") == Found{"\u0378"});
  CHECK(found(R"((?i)[^\p{L}\s])", "1\u0345a") == Found{"1"});
  CHECK(found(R"((?i)[\w]+)", "\u00df fi") == Found{"\u00df", "fi"});
  CHECK(found("(?i:'s|'ll)", "it'S she'lL") == Found{"'S", "'lL"});
  CHECK(found("(?i)s+|[s]s|[^s]", "\u00df") == Found{"\u00df"});
  // Oniguruma's long foldings, and classes of one case.
  for (const char* folds :
       {"(?i)ss", "(?i:a|\u00df)", "(?i)(?:f)(?:i)b", R"((?i)f\x69)", "(?i)[a\u00df]", "(?i)\ufb01*",
        R"((?i)[\w])", "(?:(?i)st)+", R"((?i)[\p{Lu}])", R"((?i)[^\p{^Ll}])", "(?i)[[:upper:]]",
        R"((?i)[\P{L}])", "(?i)[a[^b]]", "(?i)[a&&b]", "[a-b--e]", R"(\xC3\xA9)", R"(\303\251)"})
    CHECK_THROWS_WITH(Regex(folds, "t.json: x"), Contains("cannot be read"));
  const std::string word(100'000,
                         'a');  // more places to come back to than a compiled expression has room for
  CHECK(found("(?:[a-z][0-9]?)+", word + " b") == Found{word, "b"});
  CHECK(found(R"([^\W\d]+)", word + "1b") == Found{word, "b"});
  for (const char* bad : {"[a", "(a", "a)", R"(\p{Nope})", "(?~a)", "[[:nope:]]", "\\", "a**b("})
    CHECK_THROWS_WITH(Regex(bad, "t.json: x"), Contains("t.json: x"));
}
