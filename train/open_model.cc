// Read first: open_model.h.
#include "train/open_model.h"

#include "data/tokenizer.h"
#include "engine/base/file.h"
#include "engine/base/log.h"
#include "models/hf/import.h"
#include "train/checkpoint/checkpoint_dir.h"
#include "train/diagnosis.h"

namespace train {

using engine::check;

namespace {

/// Weights that are not numbers would give losses and texts that mean nothing.
void check_finite(const nn::Parameters& parameters, const std::string& folder) {
  for (const engine::Parameter* p : parameters.all()) {
    const std::string bad = not_finite(p->value);
    check(bad.empty(), folder, ": tensor \"", p->name, "\": ", bad);
  }
}

}  // namespace

models::ModelConfig config_of_model(const std::string& folder) {
  const std::string path = folder + "/config.json";
  check(engine::file_exists(path), folder, ": no model there (expected a folder with config.json)");
  return models::config_of_any(engine::read_json(path, size_t(1) << 24), path);
}

void warn_of_other_tokenizer(const data::Tokenizer& tokenizer, const std::string& named,
                             const std::string& model) {
  if (!data::has_tokenizer(model) || data::load_tokenizer(model)->hash() == tokenizer.hash()) return;
  engine::log_warning(named, ": not the tokenizer of ", model,
                      ", whose weights know each number as another token unless the two vocabularies agree");
}

OpenModel open_model(const std::string& path, const nn::Precision& precision, const std::string& tokenizer,
                     nn::Gradients gradients) {
  OpenModel open;
  open.folder = resolve_model(path);
  open.model = models::load_any(open.folder, precision, gradients).model;
  if (!tokenizer.empty()) {
    open.tokenizer = data::load_tokenizer(tokenizer);
    warn_of_other_tokenizer(*open.tokenizer, tokenizer, open.folder);
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

models::Ids begin_of_prompt(const data::Tokenizer& tokenizer) {
  constexpr data::TokenId text[] = {data::no_token};  // stands for the prompt
  models::Ids ids;
  for (const data::TokenId id : tokenizer.with_special_tokens(text)) {
    if (id == data::no_token) break;
    ids.push_back(int32_t(id));
  }
  return ids;
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
  const data::TokenId end = words ? data::no_token : tokenizer.roles().end;
  return end == data::no_token ? models::Ids() : models::Ids{int32_t(end)};
}

}  // namespace train
