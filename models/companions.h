// The small files beside a model's weights that other programs wrote for other programs: what they say about
// the tokens that begin and end a text, which of them travel with a model that is converted, and by which
// names a model's files are known.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/json.h"

namespace models {

/// Names of tokenizer and generation files that are carried along as they are; config.json and weights are
/// not.
const std::vector<std::string>& companion_names();

struct CompanionFile {
  std::string name, text;
};
/// Those of companion_names() that the folder has.
std::vector<CompanionFile> read_companions(const std::string& folder);

/// Whether a file of this name is part of a model: config.json, weights whole or in shards, their index,
/// files of tokenizers and of generation, and Python that came with the model.
bool is_model_file(const std::string& name);

/// Token ids that a model directory names, Hugging Face's or one of ours that was converted from it.
struct TextTokens {
  std::vector<int32_t> ends;     // any of them ends a generated text; empty: nothing is said
  std::optional<int32_t> begin;  // bos_token_id
};
/// generation_config.json's ids, where it names any, win over those of the Hugging Face config.json.
TextTokens text_tokens(const std::string& folder);

}  // namespace models
