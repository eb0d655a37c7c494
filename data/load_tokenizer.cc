// Read first: tokenizer.h, hub_config.h.
#include "data/tokenizer.h"

#include <algorithm>
#include <array>

#include "data/bpe_files.h"
#include "data/byte_tokenizer.h"
#include "data/char_tokenizer.h"
#include "data/hub_config.h"
#include "data/pipeline/tokenizer_json.h"
#include "data/utf8.h"
#include "data/word_tokenizer.h"
#include "engine/base/check.h"
#include "engine/base/file.h"

namespace data {

using engine::check;
using engine::SortedJson;

namespace {

constexpr size_t most_bytes = size_t(256) << 20;

/// GPT-2's two files under Hugging Face's names or OpenAI's.
constexpr std::array<std::pair<const char*, const char*>, 2> gpt2_names = {
    {{"/vocab.json", "/merges.txt"}, {"/encoder.json", "/vocab.bpe"}}};

bool has(const std::string& folder, const char* name) { return engine::file_exists(folder + name); }

/// One of our own kinds, by its JSON.
std::unique_ptr<Tokenizer> own_tokenizer(const SortedJson& json, const std::string& what) {
  check(json.contains("format") && json["format"] == "normlab-tokenizer", what,
        ": neither Hugging Face's tokenizer.json (no \"model\") nor ours (no \"format\": "
        "\"normlab-tokenizer\")");
  check(json.contains("version") && json["version"] == 1, what, ": version 1 expected");
  check(json.contains("kind") && json["kind"].is_string(), what, ": \"kind\" is missing");
  switch (parse_trained_kind(json["kind"])) {
    case TokenizerKind::byte: return ByteTokenizer::from_json(json, what);
    case TokenizerKind::character: return CharTokenizer::from_json(json, what);
    case TokenizerKind::word: return WordTokenizer::from_json(json, what);
    default: engine::fail(what, ": kind bpe is saved in Hugging Face's form, with \"model\"");
  }
}

SortedJson parse(const std::string& text, const std::string& what) {
  SortedJson json = engine::parse_sorted_json(text, what);
  check(json.is_object(), what, ": expected a JSON object");
  return json;
}

/// The classes whose rules the older files stand for, without Tokenizer and TokenizerFast.
constexpr std::initializer_list<const char*> gpt2_classes = {"GPT2", "CodeGen"},
                                             roberta_classes = {"Roberta", "Bart", "Longformer", "LED",
                                                                "Mvp"},
                                             bert_classes = {"Bert",       "DistilBert", "Electra",
                                                             "MobileBert", "ConvBert",   "LayoutLM",
                                                             "Lxmert",     "SqueezeBert"};

/// `name`: a tokenizer_class, as BertTokenizer or BertTokenizerFast.
bool is_among(const std::string& name, std::initializer_list<const char*> classes) {
  return std::any_of(classes.begin(), classes.end(), [&](const std::string& known) {
    return name == known + "Tokenizer" || name == known + "TokenizerFast";
  });
}

/// A class may cut a text by rules of its own, which tokenizer.json says and these files do not.
[[noreturn]] void fail_other_class(const std::string& path, const std::string& name) {
  engine::fail(path, ": tokenizer_class is \"", name.substr(0, 64),
               "\", whose rules such a file does not say; transformers writes the tokenizer.json that does "
               "(AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER))");
}

/// The tokenizer.json that BERT's vocab.txt stands for: a token a line, its number the id.
SortedJson bert_json(const std::string& path, const HubConfig& config) {
  const std::string name = config.tokenizer_class();
  if (!name.empty() && !is_among(name, bert_classes)) fail_other_class(path, name);
  const std::string pad = config.role("pad_token", "[PAD]"), unk = config.role("unk_token", "[UNK]"),
                    cls = config.role("cls_token", "[CLS]"), sep = config.role("sep_token", "[SEP]"),
                    mask = config.role("mask_token", "[MASK]");
  SortedJson vocabulary = SortedJson::object(), added = SortedJson::array();
  int64_t id = 0;
  each_line(engine::read_file(path, most_bytes), [&](std::string_view line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::string token(line);
    check(valid_utf8_prefix(token) == token.size(), path, ": line ", id + 1, " is not valid UTF-8");
    check(!vocabulary.contains(token), path, ": line ", id + 1, " is a token that stands further up already");
    if (!token.empty()) vocabulary[token] = id;
    ++id;
  });
  for (const std::string& token : {pad, unk, cls, sep, mask})
    if (vocabulary.contains(token))
      added.push_back({{"id", vocabulary[token]}, {"content", token}, {"special", true}});
  check(vocabulary.contains(cls) && vocabulary.contains(sep) && vocabulary.contains(unk), path,
        ": not BERT's vocabulary: it lacks ", unk.substr(0, 32), ", ", cls.substr(0, 32), " or ",
        sep.substr(0, 32));
  const auto special = [&](const std::string& token, int type) {
    return SortedJson{{"SpecialToken", {{"id", token}, {"type_id", type}}}};
  };
  const auto text = [&](const char* name, int type) {
    return SortedJson{{"Sequence", {{"id", name}, {"type_id", type}}}};
  };
  const auto ids = [&](const std::string& token) {
    return SortedJson{{"id", token}, {"ids", {vocabulary[token]}}, {"tokens", {token}}};
  };
  const SortedJson strip =
      config.flag("strip_accents") ? SortedJson(*config.flag("strip_accents")) : SortedJson();
  return {{"added_tokens", added},
          {"normalizer",
           {{"type", "BertNormalizer"},
            {"clean_text", true},
            {"handle_chinese_chars", config.flag("tokenize_chinese_chars").value_or(true)},
            {"strip_accents", strip},
            {"lowercase", config.flag("do_lower_case").value_or(true)}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single", {special(cls, 0), text("A", 0), special(sep, 0)}},
            {"pair", {special(cls, 0), text("A", 0), special(sep, 0), text("B", 1), special(sep, 1)}},
            {"special_tokens", {{cls, ids(cls)}, {sep, ids(sep)}}}}},
          {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
          {"model",
           {{"type", "WordPiece"},
            {"unk_token", unk},
            {"continuing_subword_prefix", "##"},
            {"max_input_chars_per_word", 100},
            {"vocab", vocabulary}}}};
}

std::unique_ptr<Tokenizer> complete(Pipeline pipeline, const HubConfig& config, const std::string& what) {
  config.complete(pipeline);
  return std::make_unique<PipelineTokenizer>(std::move(pipeline), what);
}

std::unique_ptr<Tokenizer> from_gpt2_files(const std::string& vocab, const std::string& merges,
                                           const HubConfig& config) {
  const std::string name = config.tokenizer_class();
  const bool gpt2 = is_among(name, gpt2_classes), roberta = is_among(name, roberta_classes);
  if (!name.empty() && !gpt2 && !roberta) fail_other_class(vocab, name);
  const GptFiles whose = gpt2 ? GptFiles::gpt2 : roberta ? GptFiles::roberta : GptFiles::by_tokens;
  BpeModel model = bpe_from_gpt2_files(vocab, merges, whose);
  if (model.post_processor != "null")
    for (const auto& [key, token] : {std::pair("cls_token", "<s>"), std::pair("sep_token", "</s>")})
      check(config.role(key, token) == token, vocab, ": \"", key, "\" is \"",
            config.role(key, token).substr(0, 64), "\"; RoBERTa's files have ", token, " there");
  model.prefix_space = config.flag("add_prefix_space").value_or(false);
  return complete(bpe_pipeline(model, vocab), config, vocab);
}

std::unique_ptr<Tokenizer> from_folder(const std::string& folder) {
  const HubConfig config(folder);
  if (has(folder, "/tokenizer.json")) {
    const std::string what = folder + "/tokenizer.json";
    SortedJson json = parse(engine::read_file(what, most_bytes), what);
    if (!json.contains("model")) return own_tokenizer(json, what);
    config.override(json);
    return complete(pipeline_from_json(json, what), config, what);
  }
  for (const auto& [vocab, merges] : gpt2_names)
    if (has(folder, vocab) && has(folder, merges))
      return from_gpt2_files(folder + vocab, folder + merges, config);
  if (has(folder, "/vocab.txt"))
    return complete(pipeline_from_json(bert_json(folder + "/vocab.txt", config), folder + "/vocab.txt"),
                    config, folder + "/vocab.txt");
  for (const char* name : {"/tokenizer.model", "/spiece.model", "/sentencepiece.bpe.model"})
    check(!has(folder, name), folder, name,
          ": SentencePiece's own files are not read; transformers writes the "
          "tokenizer.json that is (AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER))");
  engine::fail(folder, ": no tokenizer there (tokenizer.json, vocab.json with merges.txt, or vocab.txt)");
}

}  // namespace

bool has_tokenizer(const std::string& folder) {
  if (has(folder, "/tokenizer.json") || has(folder, "/vocab.txt")) return true;
  for (const auto& [vocab, merges] : gpt2_names)
    if (has(folder, vocab) && has(folder, merges)) return true;
  return false;
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path) {
  if (engine::is_directory(path)) return from_folder(path);
  return parse_tokenizer(engine::read_file(path, most_bytes), path);
}

std::unique_ptr<Tokenizer> parse_tokenizer(const std::string& text, const std::string& what) {
  const SortedJson json = parse(text, what);
  if (!json.contains("model")) return own_tokenizer(json, what);
  return std::make_unique<PipelineTokenizer>(pipeline_from_json(json, what), what);
}

}  // namespace data
