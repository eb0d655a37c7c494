// Read first: tokenizer_json.h.
#include "data/pipeline/tokenizer_json.h"

#include <algorithm>

#include "engine/base/check.h"

namespace data {

using engine::check;
using engine::SortedJson;

namespace {

/// Cutting off and filling up are for rows of one length, which models' inputs have here without them: a text
/// that lost its end would be trained on in silence.
void check_no_truncation(const JsonPart& file) {
  for (const char* key : {"truncation", "padding"})
    check(!file.has(key), file.what(), ": \"", key, "\" is ",
          engine::json_text(file.json().value(key, SortedJson())).substr(0, 64),
          "; texts are neither cut off nor filled up here: set it to null");
}

std::vector<AddedToken> read_added(const JsonPart& file, const Vocabulary& vocabulary) {
  AddedTokenList added(vocabulary);
  if (!file.has("added_tokens")) return {};
  for (const JsonPart& entry : file.parts("added_tokens")) {
    entry.only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    check(entry.has("id") && entry.has("content"), entry.what(), " needs \"id\" and \"content\"");
    AddedToken token{.text = entry.text("content")};
    check(!token.text.empty(), entry.what(), ": \"content\" is empty");
    token.special = entry.flag_or("special", false);
    token.strip_left = entry.flag_or("lstrip", false), token.strip_right = entry.flag_or("rstrip", false);
    token.single_word = entry.flag_or("single_word", false);
    token.normalized = entry.flag_or("normalized", !token.special);
    // The id that the file says is not asked: tokenizers gives a token the model's or the next free one.
    checked_id(entry.json()["id"], vocabulary.size(), entry.what());
    added.add(std::move(token));
  }
  return added.take();
}

/// ByteLevel's options have defaults, and the decoder of that name has none that count: one way to write
/// them.
SortedJson tidy(SortedJson part, bool decoder) {
  if (!part.is_object() || part.value("type", SortedJson()) != "ByteLevel") return part;
  const auto flag = [&](const char* key) {
    const SortedJson given = part.value(key, SortedJson());
    return given.is_null() ? SortedJson(true) : given;
  };
  part["add_prefix_space"] = decoder ? SortedJson(false) : flag("add_prefix_space");
  part["trim_offsets"] = true;
  part["use_regex"] = decoder ? SortedJson(true) : flag("use_regex");
  return part;
}

/// The type first, then the other keys in order, with spaces behind colons and commas.
std::string spaced(const SortedJson& json) {
  std::string out;
  if (json.is_object()) {
    const auto member = [&](const std::string& key, const SortedJson& value) {
      out += (out.empty() ? "" : ", ") + json_quoted(key) + ": " + spaced(value);
    };
    if (json.contains("type")) member("type", json["type"]);
    for (const auto& [key, value] : json.items())
      if (key != "type") member(key, value);
    return "{" + out + "}";
  }
  if (json.is_array()) {
    for (const auto& value : json) out += (out.empty() ? "" : ", ") + spaced(value);
    return "[" + out + "]";
  }
  return engine::json_text(json);
}

}  // namespace

Pipeline pipeline_from_json(const SortedJson& json, const std::string& what) {
  const JsonPart file(json, what);
  file.only({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
             "post_processor", "decoder", "model"});
  check_no_truncation(file);
  Pipeline pipeline;
  if (file.has("normalizer")) pipeline.normalizer = make_normalizer(file.part("normalizer"));
  if (file.has("pre_tokenizer")) pipeline.pre_tokenizer = make_pre_tokenizer(file.part("pre_tokenizer"));
  const JsonPart model = file.part("model");
  const bool affixes = !model.text_or("continuing_subword_prefix", "").empty() ||
                       !model.text_or("end_of_word_suffix", "").empty();
  const bool bytes =
      pipeline.pre_tokenizer && model.has("merges") && !affixes && pipeline.pre_tokenizer->leave_bytes();
  pipeline.model = make_piece_model(model, bytes);
  pipeline.added = read_added(file, pipeline.model->vocabulary());
  if (file.has("post_processor")) pipeline.post_processor = PostProcessor(file.part("post_processor"));
  if (file.has("decoder")) pipeline.decoder = make_decoder(file.part("decoder"));
  const auto part = [&](const char* key) { return json.value(key, SortedJson()); };
  pipeline.json = {part("normalizer"), tidy(part("pre_tokenizer"), false), part("post_processor"),
                   tidy(part("decoder"), true)};
  return pipeline;
}

std::string pipeline_to_json(const Pipeline& pipeline, const std::vector<AddedToken>& added_tokens) {
  std::string added;
  for (const AddedToken& token : added_tokens) {
    const engine::Json entry = {{"id", token.id},
                                {"content", token.text},
                                {"single_word", token.single_word},
                                {"lstrip", token.strip_left},
                                {"rstrip", token.strip_right},
                                {"normalized", token.normalized},
                                {"special", token.special}};
    added += (added.empty() ? "\n    " : ",\n    ") + engine::json_text(entry);
  }
  return R"({
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": [)" +
         added + R"(],
  "normalizer": )" +
         spaced(pipeline.json.normalizer) + R"(,
  "pre_tokenizer": )" +
         spaced(pipeline.json.pre_tokenizer) + R"(,
  "post_processor": )" +
         engine::json_text(pipeline.json.post_processor) + R"(,
  "decoder": )" +
         spaced(pipeline.json.decoder) + R"(,
  "model": )" +
         pipeline.model->to_json() + R"(
}
)";
}

}  // namespace data
