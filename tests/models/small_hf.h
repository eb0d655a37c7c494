// Small models of other people's formats, for the tests that read and write them: a config and numbered
// weights for each architecture.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "models/convert.h"
#include "models/hf/import.h"
#include "models/parameter_list.h"
#include "same_tensors.h"
#include "temporary_folder.h"

namespace small_hf {

using namespace engine;
using namespace models;

inline const std::vector<std::string> kinds = {"gpt2",        "bert",      "roberta",  "roberta_prelayernorm",
                                               "xlm_roberta", "camembert", "xglm",     "llama",
                                               "olmo2",       "gemma2",    "olmoe",    "qwen2",
                                               "qwen3",       "qwen3_moe", "mistral",  "mixtral",
                                               "gemma",       "opt",       "gpt_neox", "distilbert",
                                               "gpt_neo"};
/// Those of which the shared reference has a model that transformers computed.
inline const std::vector<std::string> reference_kinds = {
    "gpt2", "bert", "roberta", "roberta_prelayernorm", "xglm", "llama", "olmo2", "gemma2", "olmoe"};

/// Small configs as transformers writes them, and numbered weights: nothing here needs a file from elsewhere.
inline Json small_config(const std::string& kind) {
  static const Json all = parse_json(R"({
    "gpt2": {"model_type": "gpt2", "vocab_size": 11, "n_positions": 6, "n_layer": 2, "n_embd": 8, "n_head": 2,
             "bos_token_id": 3, "attn_pdrop": 0.1},
    "bert": {"model_type": "bert", "vocab_size": 11, "max_position_embeddings": 6, "num_hidden_layers": 2,
             "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, "type_vocab_size": 2},
    "roberta": {"model_type": "roberta", "vocab_size": 11, "max_position_embeddings": 8, "num_hidden_layers": 2,
             "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, "type_vocab_size": 1,
             "layer_norm_eps": 1e-5, "pad_token_id": 1},
    "roberta_prelayernorm": {"model_type": "roberta-prelayernorm", "vocab_size": 11, "max_position_embeddings": 8,
             "num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12,
             "type_vocab_size": 1},
    "xlm_roberta": {"model_type": "xlm-roberta", "vocab_size": 11, "max_position_embeddings": 8,
             "num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12,
             "type_vocab_size": 1},
    "camembert": {"model_type": "camembert", "vocab_size": 11, "max_position_embeddings": 8,
             "num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12,
             "type_vocab_size": 1},
    "xglm": {"model_type": "xglm", "vocab_size": 11, "max_position_embeddings": 6, "num_layers": 2, "d_model": 8,
             "attention_heads": 2, "ffn_dim": 12},
    "llama": {"model_type": "llama", "vocab_size": 11, "max_position_embeddings": 6, "num_hidden_layers": 2,
             "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 12,
             "rope_theta": 500000.0, "tie_word_embeddings": true},
    "olmo2": {"model_type": "olmo2", "vocab_size": 11, "max_position_embeddings": 6, "num_hidden_layers": 2,
             "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 12},
    "gemma2": {"model_type": "gemma2", "vocab_size": 11, "max_position_embeddings": 6, "num_hidden_layers": 2,
             "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 12,
             "head_dim": 6, "query_pre_attn_scalar": 10},
    "olmoe": {"model_type": "olmoe", "vocab_size": 11, "max_position_embeddings": 6, "num_hidden_layers": 2,
             "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, "num_experts": 3,
             "num_experts_per_tok": 2},
    "qwen2": {"model_type": "qwen2", "vocab_size": 11, "max_position_embeddings": 6, "num_hidden_layers": 2,
             "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 12},
    "qwen3": {"model_type": "qwen3", "vocab_size": 11, "max_position_embeddings": 6, "num_hidden_layers": 2,
             "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 12,
             "head_dim": 6},
    "qwen3_moe": {"model_type": "qwen3_moe", "vocab_size": 11, "max_position_embeddings": 6, "num_hidden_layers": 2,
             "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 99,
             "moe_intermediate_size": 4, "num_experts": 3, "num_experts_per_tok": 2, "head_dim": 6},
    "mistral": {"model_type": "mistral", "vocab_size": 11, "max_position_embeddings": 6, "num_hidden_layers": 2,
             "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 12,
             "sliding_window": null},
    "mixtral": {"model_type": "mixtral", "vocab_size": 11, "max_position_embeddings": 6, "num_hidden_layers": 2,
             "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 12,
             "num_local_experts": 3},
    "gemma": {"model_type": "gemma", "vocab_size": 11, "max_position_embeddings": 6, "num_hidden_layers": 2,
             "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 12,
             "head_dim": 6},
    "opt": {"model_type": "opt", "vocab_size": 11, "max_position_embeddings": 6, "num_hidden_layers": 2,
             "hidden_size": 8, "num_attention_heads": 2, "ffn_dim": 12},
    "gpt_neox": {"model_type": "gpt_neox", "vocab_size": 11, "max_position_embeddings": 6, "num_hidden_layers": 2,
             "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 12, "rotary_pct": 0.5},
    "distilbert": {"model_type": "distilbert", "vocab_size": 11, "max_position_embeddings": 6, "n_layers": 2,
             "dim": 8, "n_heads": 2, "hidden_dim": 12},
    "gpt_neo": {"model_type": "gpt_neo", "vocab_size": 11, "max_position_embeddings": 6, "num_layers": 2,
             "hidden_size": 8, "num_heads": 2, "attention_types": [[["global", "local"], 1]], "window_size": 3}
  })",
                                     "test");
  return all[kind];
}

inline Tensor numbered(const Shape& shape, DType dtype, double& next) {
  std::vector<double> values;
  for (int64_t i = 0; i < shape.numel(); ++i) values.push_back(next += 0.25);
  return Tensor::from(values, shape, dtype);
}

inline NamedTensors small_weights(const std::string& kind, DType dtype) {
  const HfConfig hf = read_hf_config(small_config(kind), kind);
  NamedTensors out;
  double next = -20;
  for (const MappedTensor& mapped : map_tensors(hf.architecture->names, hf.config))
    for (const Part& part : mapped.parts) out.emplace_back(part.name, numbered(part.shape, dtype, next));
  return out;
}

inline void write_folder(const std::string& folder, const Json& config, const NamedTensors& tensors) {
  make_directories(folder);
  write_safetensors(folder + "/model.safetensors", tensors);
  write_file(folder + "/config.json", config.dump());
}

/// Reads a small model after `change` has had its way with it; the message of the refusal.
template <class Change>
std::string refusal(const std::string& kind, Change change) {
  TemporaryFolder tmp;
  Json config = small_config(kind);
  NamedTensors tensors = small_weights(kind, DType::f32);
  change(config, tensors);
  write_folder(tmp / "hf", config, tensors);
  try {
    read_portable(tmp / "hf", ModelFormat::hf);
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}
inline std::string key_refusal(const std::string& kind, const char* changes) {
  return refusal(kind, [&](Json& config, NamedTensors&) { config.update(parse_json(changes, "test")); });
}

inline void check_round_trip(const std::string& hf) {
  TemporaryFolder tmp;
  write_portable(read_portable(hf, ModelFormat::hf), tmp / "ours", ModelFormat::normlab);
  write_portable(read_portable(tmp / "ours", ModelFormat::normlab), tmp / "back", ModelFormat::hf);
  check_same_tensors(Safetensors(hf), Safetensors(tmp / "back"));
  const Json before = read_json(hf + "/config.json"), after = read_json(tmp / "back/config.json");
  for (const auto& [key, value] : before.items()) {
    INFO(key);
    CHECK(after.value(key, Json("absent")) == value);
  }
  HfConfig first = read_hf_config(before, "before"), second = read_hf_config(after, "after");
  CHECK(first.config == second.config);
}

}  // namespace small_hf
