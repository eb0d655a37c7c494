// Read first: open_model.h.
#include "train/open_model.h"

#include "data/load_tokenizer.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "models/import.h"
#include "train/checkpoint_dir.h"
#include "train/diagnosis.h"

namespace train {

using engine::check;
using engine::Json;

namespace {

/// Weights that are not numbers would give losses and texts that mean nothing.
void check_finite(const nn::Parameters& parameters, const std::string& folder) {
  for (const engine::Parameter* p : parameters.all()) {
    const std::string bad = not_finite(p->value);
    check(bad.empty(), folder, ": tensor \"", p->name, "\": ", bad);
  }
}

/// What a post-processor of tokenizer.json puts before a text; tokens that the tokenizer lacks are left out.
models::Ids leading_tokens(const Json& post, const data::Tokenizer& tokenizer) {
  models::Ids ids;
  const auto add = [&](const Json& text) {
    if (!text.is_string()) return;
    const data::TokenId id = tokenizer.special_id(text.get<std::string>());
    if (id != data::no_token) ids.push_back(int32_t(id));
  };
  const auto list = [&](const char* key) {
    return post.is_object() ? post.value(key, Json::array()) : Json::array();
  };
  const Json type = post.is_object() ? post.value("type", Json()) : Json();
  if (type == "Sequence") {
    const Json parts = list("processors");
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {  // the last one's tokens stand outermost
      const models::Ids inner = leading_tokens(*part, tokenizer);
      ids.insert(ids.end(), inner.begin(), inner.end());
    }
  }
  if (type == "TemplateProcessing")
    for (const Json& piece : list("single")) {
      if (!piece.is_object() || !piece.contains("SpecialToken")) break;
      add(piece["SpecialToken"].is_object() ? piece["SpecialToken"].value("id", Json()) : Json());
    }
  if (type == "RobertaProcessing" || type == "BertProcessing")
    if (const Json cls = list("cls"); !cls.empty()) add(cls[0]);
  return ids;
}

}  // namespace

OpenModel open_model(const std::string& path, engine::DType precision, const std::string& tokenizer,
                     nn::Gradients gradients) {
  OpenModel open;
  open.folder = resolve_model(path);
  open.model = models::load_any(open.folder, nn::Precision::of(precision), gradients).model;
  if (!tokenizer.empty()) {
    open.tokenizer = data::load_tokenizer(tokenizer);
  } else if (data::has_tokenizer(open.folder)) {
    open.tokenizer = data::load_tokenizer(open.folder);
  }
  const int64_t size = open.model->config().vocab_size;
  open.vocabulary = open.tokenizer ? int64_t(open.tokenizer->vocab_size()) : size;
  check_finite(open.model->parameters(), open.folder);
  open.named = models::text_tokens(open.folder);
  std::erase_if(open.named.ends, [&](int32_t id) { return id >= open.vocabulary; });
  if (open.named.begin && *open.named.begin >= open.vocabulary) open.named.begin.reset();
  check(open.vocabulary <= size, path, ": the tokenizer has ", open.vocabulary, " tokens, the model only ",
        size);
  return open;
}

const data::Tokenizer& text_tokenizer(const OpenModel& model) {
  check(model.tokenizer != nullptr, model.folder, ": no tokenizer there; name a tokenizer with --tokenizer");
  return *model.tokenizer;
}

data::TokenId find_special(const data::Tokenizer& tokenizer, Names names) {
  for (const char* name : names)
    if (const data::TokenId id = tokenizer.special_id(name); id != data::no_token) return id;
  return data::no_token;
}

models::Ids begin_of_prompt(const data::Tokenizer& tokenizer) {
  const engine::Json json = engine::parse_json(tokenizer.to_json(), "tokenizer");
  return json.contains("post_processor") ? leading_tokens(json["post_processor"], tokenizer) : models::Ids();
}

models::Ids begin_of_text(const OpenModel& model) {
  const data::Tokenizer& tokenizer = text_tokenizer(model);
  if (const models::Ids begin = begin_of_prompt(tokenizer); !begin.empty()) return begin;
  return model.named.begin ? models::Ids{*model.named.begin} : models::Ids();
}

models::Ids ends_of_text(const OpenModel& model) {
  const data::Tokenizer& tokenizer = text_tokenizer(model);
  if (!model.named.ends.empty()) return model.named.ends;
  // <eos> of a word tokenizer is the end of a line.
  const bool words = tokenizer.kind() == data::TokenizerKind::word;
  const data::TokenId end = words ? data::no_token : find_special(tokenizer, end_names);
  return end == data::no_token ? models::Ids() : models::Ids{int32_t(end)};
}

}  // namespace train
