// Read first: custom_code.h.
#include "models/hf/custom_code.h"

#include "engine/base/check.h"

namespace models {

using engine::Json;

namespace {

/// Keys that transformers heeds whatever the architecture.
constexpr const char* kept_keys[] = {"bos_token_id", "eos_token_id",  "pad_token_id", "sep_token_id",
                                     "cls_token_id", "mask_token_id", "unk_token_id", "id2label",
                                     "label2id",     "problem_type"};

struct AutoClass {
  const char *role, *name;
};
AutoClass auto_class(Objective objective) {
  switch (objective) {
    case Objective::clm: return {"AutoModelForCausalLM", "NormLabForCausalLM"};
    case Objective::mlm: return {"AutoModelForMaskedLM", "NormLabForMaskedLM"};
    case Objective::classify: break;
  }
  return {"AutoModelForSequenceClassification", "NormLabForSequenceClassification"};
}

}  // namespace

bool is_custom_code(const Json& config) {
  return config.is_object() && config.contains("model_type") && config["model_type"] == custom_code_type;
}

Json custom_code_kept(const Json& config) {
  Json kept = Json::object();
  for (const char* key : kept_keys)
    if (config.contains(key)) kept[key] = config[key];
  return kept;
}

Json custom_code_config(const ModelConfig& c, const Json& kept) {
  const AutoClass names = auto_class(c.objective);
  Json json = {{"architectures", {names.name}},
               {"model_type", custom_code_type},
               {"auto_map",
                {{"AutoConfig", "configuration_normlab.NormLabConfig"},
                 {"AutoModel", "modeling_normlab.NormLabModel"},
                 {names.role, std::string("modeling_normlab.") + names.name}}},
               // For programs that look here, not into the config below.
               {"vocab_size", c.vocab_size},
               {"hidden_size", c.width},
               {"num_hidden_layers", c.layers},
               {"num_attention_heads", c.heads},
               {"num_key_value_heads", c.kv_heads},
               {"head_dim", c.head_dim},
               {"intermediate_size", c.ffn_width},
               {"max_position_embeddings", c.context}};
  for (const char* id : {"bos_token_id", "eos_token_id", "pad_token_id"}) json[id] = nullptr;
  json.update(custom_code_kept(kept));
  json["normlab"] = to_json(c);
  return json;
}

ModelConfig read_custom_code_config(const Json& config, const std::string& what) {
  engine::check(config.contains("normlab"), what, ": model_type \"normlab\" without \"normlab\", the config");
  return model_config_from_json(config["normlab"], what + ": normlab");
}

}  // namespace models
