// Read first: open_model.h.
#include "train/open_model.h"

#include "engine/base/file.h"
#include "models/import.h"
#include "train/checkpoint_dir.h"

namespace train {

using engine::check;

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

}  // namespace train
