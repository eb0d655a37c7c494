// Fuzzing tokenizer.json and encode. The input is a tokenizer.json, a zero byte, and a text; without a zero
// byte the whole input is a text for a tokenizer learned from it, kind bpe or word by its length. What was
// accepted must encode the text the same with and without threads, to ids of the vocabulary, and learned byte
// pairs must give every byte back.
#include "data/tokenizer.h"
#include "data/train_tokenizer.h"
#include "fuzz.h"

namespace {

void check_text(const data::Tokenizer& tokenizer, std::string_view text, bool lossless) {
  for (const auto special : {data::SpecialText::ordinary, data::SpecialText::recognised}) {
    fuzz_one([&] {  // a character that the vocabulary lacks is an Error
      const auto ids = tokenizer.encode(text, special);
      require(ids == tokenizer.encode(text, special, 2));
      for (const data::TokenId id : tokenizer.with_special_tokens(ids)) require(id < tokenizer.vocab_size());
      const std::string back = tokenizer.decode(ids);
      if (lossless && special == data::SpecialText::ordinary) require(back == text);
    });
  }
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  const std::string_view text = "the cat, the hat\n  caf\u00e9 \U0001F600 12 don't <s>";
  const std::vector<std::string> special = {"<s>", "<unk>"};
  std::vector<std::string> out = {std::string(text), "aaaaaaaa  \xff\xfe\n\n", "\u3000\u2028 x"};
  for (const auto kind :
       {data::TokenizerKind::byte, data::TokenizerKind::character, data::TokenizerKind::word}) {
    const auto tokenizer = data::train_tokenizer(std::span(&text, 1), {.kind = kind, .special = special});
    out.push_back(tokenizer->to_json() + '\0' + std::string(text));
  }
  out.push_back(
      R"({"added_tokens": [{"id": 4, "content": "<s>", "lstrip": true}], "pre_tokenizer": {"type": )"
      R"("ByteLevel", "add_prefix_space": false}, "post_processor": null, "model": {"type": "BPE", )"
      R"("vocab": {"a": 0, "b": 1, "ab": 2, "abab": 3}, "merges": ["a b", ["ab", "ab"]]}})" +
      std::string(1, '\0') + "ababab<s>a");
  // A piece of each kind, in four files.
  const std::string bytes = R"("vocab": {"a": 0, "b": 1, "ab": 2, "<0x20>": 3, "\u2581": 4, "?": 5})";
  for (
      const std::string& file :
      {R"({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"},)"
       R"( {"type": "Replace", "pattern": {"Regex": "[a-c&&[^b]]+"}, "content": "a"}, {"type": "Strip"}]},)"
       R"( "pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "first"}, "decoder": {"type": "Metaspace"},)"
       R"( "model": {"type": "BPE", "unk_token": "?", "fuse_unk": true, "byte_fallback": true, "merges": ["a b"], )" +
           bytes + "}}",
       R"({"normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor":)"
       R"( {"type": "BertProcessing", "sep": ["b", 1], "cls": ["a", 0]}, "decoder": {"type": "WordPiece"}, "model":)"
       R"( {"type": "WordPiece", "unk_token": "?", )" +
           bytes + "}}",
       std::string(
           R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true},)"
           R"( {"type": "Split", "pattern": {"Regex": "\\s+(?!\\S)|\\p{L}{1,2}"}, "behavior": "MergedWithNext"}]},)"
           R"( "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]}, "model":)"
           R"( {"type": "Unigram", "unk_id": 0, "vocab": [["?", 0.0], ["a", -1.5], ["ab", -2.0], [" ", -1.0]]}})"),
       std::string(
           R"({"pre_tokenizer": {"type": "ByteLevel", "use_regex": false}, "post_processor": {"type": )"
           R"("TemplateProcessing", "single": [{"SpecialToken": {"id": "b", "type_id": 0}}, {"Sequence": {"id": "A", )"
           R"("type_id": 0}}], "pair": [], "special_tokens": {"b": {"id": "b", "ids": [1], "tokens": ["b"]}}}, )"
           R"("model": {"type": "BPE", "unk_token": "?", "ignore_merges": true, "merges": [], )" +
           bytes + "}}")})
    out.push_back(file + std::string(1, '\0') + "Ab ab  12 \u00e9\xff");
  return out;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view input = input_text(bytes, size);
  if (input.find('\0') != input.npos) {
    const auto parts = input_parts(input, 2);
    return fuzz_one([&] {
      const auto tokenizer = data::parse_tokenizer(std::string(parts[0]), "fuzz");
      require(again([&] { return data::parse_tokenizer(tokenizer->to_json(), "saved"); })->hash() ==
              tokenizer->hash());
      check_text(*tokenizer, parts[1], false);
    });
  }
  return fuzz_one([&] {
    const auto kind = input.size() % 2 == 0 ? data::TokenizerKind::bpe : data::TokenizerKind::word;
    const auto tokenizer =
        data::train_tokenizer(std::span(&input, 1), {.kind = kind, .min_frequency = 1, .threads = 1});
    require(again([&] { return data::parse_tokenizer(tokenizer->to_json(), "saved"); })->hash() ==
            tokenizer->hash());
    check_text(*tokenizer, input, kind == data::TokenizerKind::bpe);
  });
}
