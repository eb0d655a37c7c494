// Finding and reading a tokenizer: a tokenizer.json of ours or of Hugging Face's, or the older files of other
// programs. Read first: tokenizer.h.
#pragma once

#include <memory>
#include <string>

#include "data/tokenizer.h"

namespace data {

/// From a tokenizer.json, or from a folder. A folder without one may have GPT-2's vocab.json and merges.txt
/// (or encoder.json and vocab.bpe) or BERT's vocab.txt instead. tokenizer_config.json,
/// special_tokens_map.json and added_tokens.json beside them are heeded as transformers does.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path);
/// From the text of a tokenizer.json; `what` names it in errors.
std::unique_ptr<Tokenizer> parse_tokenizer(const std::string& json, const std::string& what);

/// Whether load_tokenizer(folder) finds a tokenizer there.
bool has_tokenizer(const std::string& folder);

}  // namespace data
