// Fuzzing tokenizer.json and encode. The input is a tokenizer.json, a zero byte, and a text; without a zero
// byte the whole input is a text for a tokenizer learned from it, kind bpe or word by its length. What was
// accepted must encode the text the same with and without threads, and byte-level kinds must give every byte
// back.
#include "data/load_tokenizer.h"
#include "data/tokenizer.h"
#include "data/train_tokenizer.h"
#include "fuzz.h"

namespace {

void check_text(const data::Tokenizer& tokenizer, std::string_view text) {
  for (const auto special : {data::SpecialText::ordinary, data::SpecialText::recognised}) {
    fuzz_one([&] {  // a character that the vocabulary lacks is an Error
      const auto ids = tokenizer.encode(text, special);
      require(ids == tokenizer.encode(text, special, 2));
      const std::string back = tokenizer.decode(ids);
      const bool lossless =
          tokenizer.kind() == data::TokenizerKind::bpe || tokenizer.kind() == data::TokenizerKind::byte;
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
      check_text(*tokenizer, parts[1]);
    });
  }
  return fuzz_one([&] {
    const auto kind = input.size() % 2 == 0 ? data::TokenizerKind::bpe : data::TokenizerKind::word;
    const auto tokenizer =
        data::train_tokenizer(std::span(&input, 1), {.kind = kind, .min_frequency = 1, .threads = 1});
    require(again([&] { return data::parse_tokenizer(tokenizer->to_json(), "saved"); })->hash() ==
            tokenizer->hash());
    check_text(*tokenizer, input);
  });
}
