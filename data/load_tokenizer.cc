// Read first: tokenizer.h, hub_config.h.
#include "data/tokenizer.h"

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

/// The tokenizer.json that BERT's vocab.txt stands for: a token a line, its number the id.
SortedJson bert_json(const std::string& path, const HubConfig& config) {
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
  for (const char* token : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"})
    if (vocabulary.contains(token)) added.push_back({{"id", vocabulary[token]}, {"content", token}});
  check(vocabulary.contains("[CLS]") && vocabulary.contains("[SEP]") && vocabulary.contains("[UNK]"), path,
        ": not BERT's vocabulary: it lacks [UNK], [CLS] or [SEP]");
  const auto special = [&](const char* token, int type) {
    return SortedJson{{"SpecialToken", {{"id", token}, {"type_id", type}}}};
  };
  const auto text = [&](const char* name, int type) {
    return SortedJson{{"Sequence", {{"id", name}, {"type_id", type}}}};
  };
  const auto ids = [&](const char* token) {
    return SortedJson{{"id", token}, {"ids", {vocabulary[token]}}, {"tokens", {token}}};
  };
  const SortedJson strip =
      config.flag("strip_accents") ? SortedJson(*config.flag("strip_accents")) : SortedJson();
  return {
      {"added_tokens", added},
      {"normalizer",
       {{"type", "BertNormalizer"},
        {"clean_text", true},
        {"handle_chinese_chars", config.flag("tokenize_chinese_chars").value_or(true)},
        {"strip_accents", strip},
        {"lowercase", config.flag("do_lower_case").value_or(true)}}},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", {special("[CLS]", 0), text("A", 0), special("[SEP]", 0)}},
        {"pair", {special("[CLS]", 0), text("A", 0), special("[SEP]", 0), text("B", 1), special("[SEP]", 1)}},
        {"special_tokens", {{"[CLS]", ids("[CLS]")}, {"[SEP]", ids("[SEP]")}}}}},
      {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
      {"model",
       {{"type", "WordPiece"},
        {"unk_token", "[UNK]"},
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
  BpeModel model = bpe_from_gpt2_files(vocab, merges);
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
