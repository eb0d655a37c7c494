// A model of ours as a directory that transformers loads with trust_remote_code: config.json holds our own
// config under "normlab" and names the Python classes beside it (custom_code/*.py), and the weights are our
// file. Any placement can be said; convert --from hf reads such a directory, also one that transformers has
// saved. Read first: config.h.
#pragma once

#include <string>

#include "engine/base/json.h"
#include "models/config.h"

namespace models {

inline constexpr const char* custom_code_type = "normlab";  // model_type

bool is_custom_code(const engine::Json& config);
/// `kept`: keys of a Hugging Face config that the model came with; token ids and class names return.
engine::Json custom_code_config(const ModelConfig& config, const engine::Json& kept);
/// Errors: no or an unreadable "normlab".
ModelConfig read_custom_code_config(const engine::Json& config, const std::string& what);
/// What custom_code_config() takes from `kept`, read from a config.json.
engine::Json custom_code_kept(const engine::Json& config);

}  // namespace models
