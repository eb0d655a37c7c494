// Folders as the Hugging Face Hub has them: which files make the tokenizer, and what the small ones beside it
// say.
#include <catch2/catch.hpp>

#include "data/prepare.h"
#include "data/tokenizer.h"
#include "data/train_tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "temporary_folder.h"

using namespace data;
using Catch::Matchers::Contains;
using engine::write_file;
using Ids = std::vector<TokenId>;

namespace {

const char* const gpt2_vocab = R"({"a": 0, "b": 1, "ab": 2, "\u0120": 3, "<|endoftext|>": 4, "\u0120a": 5})";
const char* const gpt2_merges = "#version: 0.2\na b\n\u0120 a\n";

struct Folder {
  TemporaryFolder folder;
  Folder(std::initializer_list<std::pair<const char*, std::string>> files) {
    for (const auto& [name, text] : files) write_file(folder / name, text);
  }
  std::unique_ptr<Tokenizer> load() const { return load_tokenizer(folder / ""); }
};

}  // namespace

TEST_CASE("tokens beside vocab.json and merges.txt are part of the vocabulary") {
  const Folder f{{"vocab.json", gpt2_vocab},
                 {"merges.txt", gpt2_merges},
                 {"added_tokens.json", R"({"<chat>": 6, "<b>": 7})"},
                 {"special_tokens_map.json", R"({"eos_token": "<b>", "pad_token": {"content": "<chat>"}})"}};
  const auto tokenizer = f.load();
  CHECK(tokenizer->vocab_size() == 8);
  CHECK(tokenizer->encode("ab<chat>b<b>", SpecialText::recognised) == Ids{2, 6, 1, 7});
  CHECK(tokenizer->roles().end == 7);
  CHECK(tokenizer->roles().pad == 6);
  CHECK(parse_tokenizer(tokenizer->to_json(), "again")->hash() == tokenizer->hash());

  const Folder wrong{
      {"vocab.json", gpt2_vocab}, {"merges.txt", gpt2_merges}, {"added_tokens.json", R"({"<x>": 9})"}};
  CHECK_THROWS_WITH(wrong.load(), Contains("\"<x>\" has id 9 there, and is 6 behind this vocabulary"));
}

TEST_CASE("tokenizer_config.json asks for a space in front and for tokens around a text") {
  const Folder f{{"vocab.json", gpt2_vocab},
                 {"merges.txt", gpt2_merges},
                 {"tokenizer_config.json",
                  R"({"add_prefix_space": true, "add_bos_token": true, "bos_token": "<|endoftext|>"})"}};
  const auto tokenizer = f.load();
  CHECK(tokenizer->encode("ab") == Ids{3, 2});
  CHECK(tokenizer->with_special_tokens(Ids{3, 2}) == Ids{4, 3, 2});
  CHECK(tokenizer->roles().begin == 4);
}

TEST_CASE("a token with a role is special, whatever tokenizer.json says of it") {
  const char* const file =
      R"({"model": {"type": "BPE", "vocab": {"a": 0, "<": 1, "e": 2, ">": 3}, "merges": []},
    "added_tokens": [{"id": 4, "content": "<e>"}, {"id": 5, "content": "aa"}]})";
  const Folder named{{"tokenizer.json", file}, {"tokenizer_config.json", R"({"eos_token": "<e>"})"}};
  CHECK(named.load()->encode("a<e>aa") == Ids{0, 1, 2, 3, 5});
  CHECK(named.load()->encode("a<e>", SpecialText::recognised) == Ids{0, 4});
  CHECK(Folder{{"tokenizer.json", file}}.load()->encode("a<e>") == Ids{0, 4});
}

TEST_CASE("the space in front is tokenizer.json's where the class takes that file as it stands") {
  const auto ids = [](const std::string& name) {
    const Folder f{
        {"tokenizer.json", R"({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
                         "model": {"type": "BPE", "vocab": {"a": 0, "\u0120": 1}, "merges": []}})"},
        {"tokenizer_config.json", R"({"add_prefix_space": true, "tokenizer_class": ")" + name + "\"}"}};
    return f.load()->encode("a");
  };
  CHECK(ids("GPT2Tokenizer") == Ids{1, 0});
  CHECK(ids("PreTrainedTokenizerFast") == Ids{0});
  CHECK(ids("TokenizersBackend") == Ids{0});
}

TEST_CASE("beside a tokenizer.json add_bos_token says nothing: its post-processor counts") {
  const char* const flags = R"({"add_bos_token": true, "bos_token": "<|endoftext|>"})";
  const Folder files{{"vocab.json", gpt2_vocab}, {"merges.txt", gpt2_merges}, {"tokenizer_config.json", flags}};
  const Folder pipeline{{"tokenizer.json",
                         R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []},
                             "added_tokens": [{"id": 2, "content": "<|endoftext|>", "special": true}]})"},
                        {"tokenizer_config.json", flags}};
  CHECK(files.load()->with_special_tokens(Ids{3}) == Ids{4, 3});
  CHECK(pipeline.load()->with_special_tokens(Ids{0}) == Ids{0});
  CHECK(pipeline.load()->roles().begin == 2);
}

TEST_CASE("tokens of added_tokens_decoder keep their flags") {
  const Folder f{{"vocab.json", gpt2_vocab},
                 {"merges.txt", gpt2_merges},
                 {"tokenizer_config.json", R"({"added_tokens_decoder": {
                    "7": {"content": "<y>", "special": false, "rstrip": true},
                    "6": {"content": "<x>", "special": true, "lstrip": true}}})"}};
  const auto tokenizer = f.load();
  CHECK(tokenizer->encode("a <x> <y> b", SpecialText::recognised) == Ids{0, 6, 3, 7, 1});
  CHECK(tokenizer->encode("a<y> b") == Ids{0, 7, 1});
}

TEST_CASE("RoBERTa's vocabulary is known by its special tokens") {
  const std::string vocab =
      R"({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "ab": 6, "<|endoftext|>": 7, "<mask>": 8, "\u0120": 9})";
  const Folder f{{"vocab.json", vocab}, {"merges.txt", "\uFEFF#version: 0.2\na b\n#version: 0.3\na b\n"}};
  const auto tokenizer = f.load();
  CHECK(tokenizer->encode("a <mask>ab</s>", SpecialText::recognised) == Ids{4, 8, 6, 2});
  CHECK(tokenizer->special_id("<|endoftext|>") == no_token);
  CHECK(document_end(*tokenizer).id == 2);
  CHECK(tokenizer->with_special_tokens(Ids{4}) == Ids{0, 4, 2});
  CHECK(tokenizer->with_special_tokens(Ids{4}, Ids{5}) == Ids{0, 4, 2, 2, 5, 2});
}

TEST_CASE("BERT's vocab.txt is a WordPiece tokenizer") {
  const std::string vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncafe\n##s\nThe\nthe\n,\n";
  const Folder f{{"vocab.txt", vocab}},
      cased{{"vocab.txt", vocab}, {"tokenizer_config.json", R"({"do_lower_case": false})"}};
  CHECK(has_tokenizer(f.folder / ""));
  const auto tokenizer = f.load();
  CHECK(tokenizer->kind() == TokenizerKind::wordpiece);
  CHECK(tokenizer->encode("The caf\u00E9s,x") == Ids{8, 5, 6, 9, 1});
  CHECK(cased.load()->encode("The") == Ids{7});
  CHECK(tokenizer->with_special_tokens(Ids{8}) == Ids{2, 8, 3});
  CHECK(tokenizer->decode(Ids{8, 5, 6, 9}) == "the cafes,");
}

TEST_CASE("BERT's special tokens are not ordinary text, and have the names that the files give them") {
  const std::string vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n<s>\n</s>\n[\n]\nmask\n";
  const Folder f{{"vocab.txt", vocab}},
      named{{"vocab.txt", vocab},
            {"tokenizer_config.json", R"({"cls_token": "<s>", "sep_token": "</s>", "unk_token": "mask"})"}};
  CHECK(f.load()->encode("[MASK] [mask]") == Ids{7, 9, 8, 7, 9, 8});
  CHECK(f.load()->encode("[MASK] [mask]", SpecialText::recognised) == Ids{4, 7, 9, 8});
  CHECK(named.load()->with_special_tokens(Ids{9}) == Ids{5, 9, 6});
  CHECK(named.load()->encode("x</s>", SpecialText::recognised) == Ids{9, 6});
}

TEST_CASE("the class says whose rules the older files stand for") {
  const std::string vocab =
      R"({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "ab": 6, "<mask>": 7, "<": 8, "s": 9, ">": 10, "<|endoftext|>": 11})";
  const auto folder = [&](const std::string& config) {
    return Folder{{"vocab.json", vocab}, {"merges.txt", "a b\n"}, {"tokenizer_config.json", config}}.load();
  };
  CHECK(folder(R"({"tokenizer_class": "BartTokenizerFast"})")->with_special_tokens(Ids{4}) == Ids{0, 4, 2});
  const auto gpt2 = folder(R"({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true})");
  CHECK(gpt2->with_special_tokens(Ids{4}) == Ids{11, 4});
  CHECK(gpt2->encode("ab<s>", SpecialText::recognised) == Ids{6, 8, 9, 10});
  CHECK_THROWS_WITH(folder(R"({"tokenizer_class": "CLIPTokenizer"})"),
                    Contains("tokenizer_class is \"CLIPTokenizer\"") && Contains("tokenizer.json"));
  CHECK_THROWS_WITH(folder(R"({"cls_token": "</s>"})"), Contains("\"cls_token\" is \"</s>\""));
  const Folder lacks{{"vocab.json", gpt2_vocab},
                     {"merges.txt", gpt2_merges},
                     {"tokenizer_config.json", R"({"tokenizer_class": "RobertaTokenizer"})"}};
  CHECK_THROWS_WITH(lacks.load(), Contains("not RoBERTa's vocabulary"));
  const Folder japanese{{"vocab.txt", "[UNK]\n[CLS]\n[SEP]\n"},
                        {"tokenizer_config.json", R"({"tokenizer_class": "BertJapaneseTokenizer"})"}};
  CHECK_THROWS_WITH(japanese.load(), Contains("\"BertJapaneseTokenizer\""));
}

TEST_CASE("folders without a tokenizer say what is missing") {
  const Folder none{{"config.json", "{}"}}, piece{{"spiece.model", "x"}};
  CHECK(!has_tokenizer(none.folder / ""));
  CHECK_THROWS_WITH(none.load(), Contains("no tokenizer there"));
  CHECK_THROWS_WITH(piece.load(),
                    Contains("spiece.model") && Contains("not read") && Contains("tokenizer.json"));
  const Folder lost{{"vocab.txt", "a\nb\n"}}, twice{{"vocab.txt", "a\na\n"}};
  CHECK_THROWS_WITH(lost.load(), Contains("lacks [UNK], [CLS] or [SEP]"));
  CHECK_THROWS_WITH(twice.load(), Contains("line 2"));
}

TEST_CASE("values of the wrong type in the small files and in tokenizer.json are told, whatever they are") {
  std::string trained;
  {
    const std::string_view text = "ab ab ab abc";
    trained =
        train_tokenizer(std::span(&text, 1), {.vocab_size = 262, .min_frequency = 1, .special = {"<e>"}})
            ->to_json();
  }
  const auto works_or_is_told = [](const Folder& f) {
    try {
      f.load();
    } catch (const engine::Error&) {  // anything else ends the test
    }
  };
  for (const char* value : {"5", "null", "[]", "{}", "true", "\"x\"", "-1", "1e300"}) {
    INFO(value);
    const std::string v = value;
    for (const std::string& config :
         {R"({"added_tokens_decoder": {"0": {"content": "<e>", "special": )" + v + "}}}",
          R"({"add_prefix_space": )" + v + R"(, "eos_token": )" + v + R"(, "tokenizer_class": )" + v + "}"}) {
      INFO(config);
      works_or_is_told({{"tokenizer.json", trained}, {"tokenizer_config.json", config}});
    }
    for (const char* path :
         {"/normalizer", "/normalizer/type", "/pre_tokenizer/type", "/pre_tokenizer/add_prefix_space",
          "/pre_tokenizer/use_regex", "/decoder/type", "/added_tokens/0/id", "/model/merges"}) {
      INFO(path);
      engine::Json json = engine::parse_json(trained, "trained");
      if (std::string(path).starts_with("/normalizer/")) json["normalizer"] = engine::Json::object();
      json[engine::Json::json_pointer(path)] = engine::parse_json(v, "value");
      works_or_is_told(
          {{"tokenizer.json", engine::json_text(json)},
           {"tokenizer_config.json", R"({"tokenizer_class": "BertTokenizer", "do_lower_case": true})"}});
    }
  }
  const Folder map{{"vocab.json", gpt2_vocab},
                   {"merges.txt", gpt2_merges},
                   {"special_tokens_map.json", R"({"eos_token": 5})"}};
  CHECK_THROWS_WITH(map.load(),
                    Contains("special_tokens_map.json: \"eos_token\": expected an object, got 5"));
}
