// Fuzzing GPT-2's vocab.json and merges.txt and fairseq's dictionary: the input is the three files with zero
// bytes between. What was accepted can be saved, read again, and used.
#include "data/bpe_files.h"
#include "data/tokenizer.h"
#include "fuzz.h"

namespace {

std::string files(const std::string& vocab, const std::string& merges, const std::string& dictionary) {
  return vocab + '\0' + merges + '\0' + dictionary;
}

void use(const data::BpeModel& model) {
  const auto tokenizer = data::make_bpe_tokenizer(model, "fuzz");
  fuzz_one([&] {
    const auto ids = tokenizer->encode("abab ab\n");
    require(tokenizer->decode(ids) == "abab ab\n");
  });
  require(again([&] { return data::parse_tokenizer(tokenizer->to_json(), "saved"); })->hash() ==
          tokenizer->hash());
}

}  // namespace

std::vector<std::string> fuzz_seeds() {
  const std::string vocab = R"({"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3, "\u0120": 4, "\u010a": 5})";
  const std::string merges = "#version: 0.2\na b\n";
  return {files(vocab, merges, "0 10\n1 9\n2 8\n3 7\n4 6\n5 5\nmadeupword0000 0\n"),
          files(vocab, merges, "5 1\n4 1\n3 1\n2 1\n1 1\n0 1\n"), files(vocab, "a b\r\n", "")};
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const auto parts = input_parts(input_text(bytes, size), 3);
  return fuzz_one([&] {
    const data::BpeModel gpt2 =
        data::bpe_from_gpt2_files(input_file(parts[0], "vocab.json"), input_file(parts[1], "merges.txt"));
    fuzz_one([&] { use(data::with_fairseq_dictionary(gpt2, input_file(parts[2], "dict.txt"))); });
    use(gpt2);
  });
}
