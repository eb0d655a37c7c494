// BPE files: GPT-2's pair, fairseq's dictionary, tokenizer.json both ways, and every way in which they can be
// wrong.
#include "data/bpe_files.h"

#include <catch2/catch.hpp>

#include "data/byte_alphabet.h"
#include "data/tokenizer.h"
#include "engine/base/file.h"
#include "shared_data.h"
#include "temporary_folder.h"

using namespace data;
using Catch::Matchers::Contains;
using Ids = std::vector<TokenId>;

namespace {

/// A tokenizer.json with the given vocabulary and merges, and anything else at the top level.
std::string file(const std::string& vocab, const std::string& merges, const std::string& more = "",
                 const std::string& model = "") {
  return R"({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, )" + more +
         R"("model": {"type": "BPE", )" + model + R"("vocab": {)" + vocab + R"(}, "merges": [)" + merges +
         "]}}";
}
const std::string small_vocab = R"("a": 0, "b": 1, "ab": 2)";

std::unique_ptr<Tokenizer> parse(const std::string& json) { return parse_tokenizer(json, "t.json"); }

}  // namespace

TEST_CASE("the byte alphabet is GPT-2's") {
  CHECK(bytes_to_alphabet(" the\n") == "\u0120the\u010A");
  CHECK(bytes_to_alphabet(std::string("\x00\x7F\xAD", 3)) == "\u0100\u0121\u0143");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += char(byte);
  CHECK(alphabet_to_bytes(bytes_to_alphabet(all)) == all);
  CHECK(!alphabet_to_bytes("a b"));
  CHECK(!alphabet_to_bytes("\u2581"));
}

TEST_CASE("GPT-2's files and tokenizer.json say the same") {
  const std::string folder = shared_path("data/gpt2-bpe");
  if (folder.empty()) return;
  const BpeModel model = bpe_from_gpt2_files(folder + "/encoder.json", folder + "/vocab.bpe");
  CHECK(model.tokens.size() == 50257);
  CHECK(model.merges.size() == 50000);
  CHECK(model.special.at(0).id == 50256);
  const TemporaryFolder out;
  save_gpt2_files(model, out / "vocab.json", out / "merges.txt");
  CHECK(engine::read_file(out / "merges.txt") == engine::read_file(folder + "/vocab.bpe"));
  CHECK(has_tokenizer(folder));
  CHECK(load_tokenizer(folder)->vocab_size() == 50257);  // OpenAI's names
  CHECK(load_tokenizer(out / "")->encode("Hello world") == load_tokenizer(folder)->encode("Hello world"));
  const BpeModel again = bpe_from_gpt2_files(out / "vocab.json", out / "merges.txt");
  CHECK(again.tokens == model.tokens);
  const auto tokenizer = make_bpe_tokenizer(model, "gpt2");
  CHECK(parse(tokenizer->to_json())->hash() == tokenizer->hash());
}

TEST_CASE("RoBERTa's ids come from fairseq's dictionary") {
  const std::string folder = shared_path("data/gpt2-bpe");
  if (folder.empty()) return;
  const BpeModel gpt2 = bpe_from_gpt2_files(folder + "/encoder.json", folder + "/vocab.bpe");
  const auto roberta =
      make_bpe_tokenizer(with_fairseq_dictionary(gpt2, folder + "/roberta_dict.txt"), "roberta");
  CHECK(roberta->vocab_size() == 50265);
  CHECK(roberta->encode("Hello world") == Ids{31414, 232});  // Hugging Face's roberta-base gives the same
  CHECK(roberta->encode("Hello <mask>.", SpecialText::recognised) == Ids{31414, 50264, 4});
  const char* const names[] = {"<s>", "<pad>", "</s>", "<unk>"};
  for (TokenId id = 0; id < 4; ++id) CHECK(roberta->special_id(names[id]) == id);
  CHECK(parse(roberta->to_json())->hash() == roberta->hash());
}

TEST_CASE("a dictionary that does not fit is refused") {
  const TemporaryFolder folder;
  BpeModel model;
  model.tokens = {"a", "b"};
  const auto read = [&](const std::string& text) {
    engine::write_file(folder / "dict.txt", text);
    return with_fairseq_dictionary(model, folder / "dict.txt");
  };
  CHECK(read("1 9\n0 5\nfiller 0\n").tokens ==
        std::vector<std::string>{"<s>", "<pad>", "</s>", "<unk>", "b", "a", "filler", "<mask>"});
  CHECK_THROWS_WITH(read("0 1\n"), Contains("id 1 of the vocabulary is missing"));
  CHECK_THROWS_WITH(read("0 1\n2 1\n"), Contains("line 2: id 2 is outside the vocabulary of 2"));
  CHECK_THROWS_WITH(read("0 1\n0 1\n"), Contains("line 2: id 0 appears twice"));
  CHECK_THROWS_WITH(read("0\n"), Contains("line 1: expected a symbol, a space and a count"));
}

TEST_CASE("merges come as lines or as pairs") {
  for (const char* merges : {R"("a b")", R"(["a", "b"])"}) {
    CHECK(parse(file(small_vocab, merges))->encode("abb") == Ids{2, 1});
  }
}

TEST_CASE("a tokenizer.json that is wrong is refused with one clear line") {
  const auto refused = [](const std::string& json, const std::string& message) {
    CHECK_THROWS_WITH(parse(json), Contains("t.json: ") && Contains(message));
  };
  refused(file(R"("a": 0, "b": 99999999999999)", ""), "token \"b\" has id 99999999999999");
  refused(file(R"("a": 0, "b": -1)", ""), "token \"b\" has id -1");
  refused(file(R"("a": 0, "b": 0)", ""), "id 0 belongs to two tokens");
  refused(file(R"("a": 0, "a": 1)", ""), "appears twice");
  refused(file(R"("a": 0, "": 1)", ""), "token 1 is empty");
  refused(file(R"("a": 0, "b": 16000000)", ""), "token \"b\" has id 16000000");
  refused(file(R"("ab": 0)", ""), "no single byte is a token");
  refused(file("", ""), "no single byte is a token");
  refused(file(small_vocab, R"("a c")"), "merge 0 needs \"c\", which is not in the vocabulary");
  refused(file(small_vocab, R"("b a")"), "merge 0 needs \"ba\"");
  refused(file(small_vocab, R"("ab")"), "merge 0 is not two tokens with a space between");
  refused(file(small_vocab, R"("a b c")"), "merge 0 is not two tokens with a space between");
  refused(file(small_vocab, R"(7)"), "merge 0 is neither");
  refused(file(small_vocab, "", R"("normalizer": {"type": "NFX"}, )"), "normalizer: \"type\" is \"NFX\"");
  refused(file(small_vocab, "", R"("normalizer": {"type": "NFC", "x": 1}, )"), "\"x\" is not known");
  refused(file(small_vocab, "", R"("truncation": {"max_length": 4}, )"),
          "\"truncation\" is {\"max_length\":4}");
  refused(file(small_vocab, "", R"("padding": {}, )"), "\"padding\" is {}");
  refused(file(small_vocab, "", R"("decoder": {"type": "Morse"}, )"), "decoder: \"type\" is \"Morse\"");
  refused(file(small_vocab, "",
               R"("post_processor": {"type": "BertProcessing", "sep": ["b", 3], "cls": ["a", 0]}, )"),
          "adds token 3, which is outside the vocabulary of 3");
  refused(file(small_vocab, "", "", R"("dropout": 0.1, )"), "\"dropout\" is 0.1");
  refused(file(small_vocab, "", "", R"("unk_token": "?", )"), "\"unk_token\" is \"?\", which is not in");
  refused(file(small_vocab, "", R"("added_tokens": [{"id": -9, "content": "<s>"}], )"), "has id -9");
  refused(file(small_vocab, "", R"("added_tokens": [{"id": 3, "content": ""}], )"), "\"content\" is empty");
  refused(R"({"pre_tokenizer": {"type": "Wide"}, "model": {}})", "\"type\" is \"Wide\"");
  refused(R"({"model": {"type": "Markov"}})", "\"type\" is \"Markov\"");
  refused(R"({"model": {"type": "BPE"}})", "vocab: expected a JSON object");
}

TEST_CASE("GPT-2 files that are wrong are refused") {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& vocab, const std::string& merges) {
    engine::write_file(folder / "vocab.json", vocab);
    engine::write_file(folder / "merges.txt", merges);
    return bpe_from_gpt2_files(folder / "vocab.json", folder / "merges.txt");
  };
  const std::string vocab = "{" + small_vocab + "}";
  CHECK(read(vocab, "#version: 0.2\r\na b\r\n").merges.size() == 1);
  CHECK_THROWS_WITH(read(vocab, "#version: 0.2\n"), Contains("no merges"));
  CHECK_THROWS_WITH(read(vocab, "a \xFF\n"), Contains("invalid UTF-8 at byte 2"));
  CHECK_THROWS_WITH(read("[]", "a b\n"), Contains("expected a JSON object"));
  CHECK_THROWS_WITH(read("{\"a\": \"x\"}", "a b\n"), Contains("expected an integer"));
  CHECK_THROWS_WITH(bpe_from_gpt2_files(folder / "none.json", folder / "merges.txt"),
                    Contains("cannot open"));
}
