// tokenizer.json as Hugging Face's tokenizers writes it, read into a pipeline and written again. What such a
// file asks for and we do not do is an error; nothing is ignored. Read first: pipeline_tokenizer.h.
#pragma once

#include "data/pipeline/pipeline_tokenizer.h"

namespace data {

/// `json`: the parsed file; `what` names it in errors.
Pipeline pipeline_from_json(const engine::SortedJson& json, const std::string& what);
/// Always the same bytes for the same tokenizer.
std::string pipeline_to_json(const Pipeline& pipeline, const std::vector<AddedToken>& added);

}  // namespace data
