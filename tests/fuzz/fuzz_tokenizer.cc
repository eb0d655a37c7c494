// Fuzzing tokenizer files and encode. The input is a tokenizer.json, a zero byte, and a text; without a zero
// byte the whole input is a text for a tokenizer learned from it. Bad files must end in engine::Error; good
// ones must encode the text the same with and without threads, and byte-level ones must give every byte back.
#include <cstdlib>
#include <string>

#include "data/tokenizer.h"
#include "engine/base/check.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_text(const data::Tokenizer& tokenizer, std::string_view text) {
  for (const auto special : {data::SpecialText::ordinary, data::SpecialText::recognised}) {
    const auto ids = tokenizer.encode(text, special);
    require(ids == tokenizer.encode(text, special, 2));
    const std::string back = tokenizer.decode(ids);
    const bool lossless =
        tokenizer.kind() == data::TokenizerKind::bpe || tokenizer.kind() == data::TokenizerKind::byte;
    if (lossless && special == data::SpecialText::ordinary) require(back == text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const size_t zero = input.find('\0');
  try {
    if (zero != input.npos) {
      const auto tokenizer = data::parse_tokenizer(std::string(input.substr(0, zero)), "fuzz");
      require(data::parse_tokenizer(tokenizer->to_json(), "saved")->hash() == tokenizer->hash());
      check_text(*tokenizer, input.substr(zero + 1));
    } else {
      for (const auto kind : {data::TokenizerKind::bpe, data::TokenizerKind::word}) {
        const auto tokenizer =
            data::train_tokenizer(std::span(&input, 1), {.kind = kind, .min_frequency = 1, .threads = 1});
        check_text(*tokenizer, input);
      }
    }
  } catch (const engine::Error&) {
  }
  return 0;
}
