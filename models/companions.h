// The small files beside a model's weights that other programs wrote for other programs: what they say about
// the tokens that begin and end a text, and which of them travel with a model that is converted.
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

/// Token ids that a model directory names, Hugging Face's or one of ours that was converted from it.
struct TextTokens {
  std::vector<int32_t> ends;     // any of them ends a generated text; empty: nothing is said
  std::optional<int32_t> begin;  // bos_token_id
};
/// generation_config.json's ids, where it names any, win over those of the Hugging Face config.json.
TextTokens text_tokens(const std::string& folder);

}  // namespace models
