// Hugging Face directories: the tables cover every tensor and key of each architecture, conversions change no
// bit, and what our format cannot say is refused.
#include "models/hf/import.h"

#include <catch2/catch.hpp>

#include "engine/base/check.h"
#include "models/convert.h"
#include "models/parameter_list.h"
#include "same_tensors.h"
#include "shared_data.h"
#include "temporary_folder.h"

using namespace engine;
using namespace models;
using Catch::Matchers::Contains;

namespace {

const std::vector<std::string> kinds = {"gpt2",        "bert",      "roberta",  "roberta_prelayernorm",
                                        "xlm_roberta", "camembert", "xglm",     "llama",
                                        "olmo2",       "gemma2",    "olmoe",    "qwen2",
                                        "qwen3",       "qwen3_moe", "mistral",  "mixtral",
                                        "gemma",       "opt",       "gpt_neox", "distilbert",
                                        "gpt_neo"};
/// Those of which the shared reference has a model that transformers computed.
const std::vector<std::string> reference_kinds = {
    "gpt2", "bert", "roberta", "roberta_prelayernorm", "xglm", "llama", "olmo2", "gemma2", "olmoe"};

/// Small configs as transformers writes them, and numbered weights: nothing here needs a file from elsewhere.
Json small_config(const std::string& kind) {
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

Tensor numbered(const Shape& shape, DType dtype, double& next) {
  std::vector<double> values;
  for (int64_t i = 0; i < shape.numel(); ++i) values.push_back(next += 0.25);
  return Tensor::from(values, shape, dtype);
}

NamedTensors small_weights(const std::string& kind, DType dtype) {
  const HfConfig hf = read_hf_config(small_config(kind), kind);
  NamedTensors out;
  double next = -20;
  for (const MappedTensor& mapped : map_tensors(hf.architecture->names, hf.config))
    for (const Part& part : mapped.parts) out.emplace_back(part.name, numbered(part.shape, dtype, next));
  return out;
}

void write_folder(const std::string& folder, const Json& config, const NamedTensors& tensors) {
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
std::string key_refusal(const std::string& kind, const char* changes) {
  return refusal(kind, [&](Json& config, NamedTensors&) { config.update(parse_json(changes, "test")); });
}

void check_round_trip(const std::string& hf) {
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

}  // namespace

TEST_CASE("hf: rows cover every tensor, no foreign name twice, and take apart what they join", "[hf]") {
  for (const std::string& kind : kinds) {
    INFO(kind);
    const HfConfig hf = read_hf_config(small_config(kind), kind);
    std::map<std::string, int> seen;
    double next = 0;
    for (const MappedTensor& mapped : map_tensors(hf.architecture->names, hf.config)) {
      std::vector<Tensor> parts;
      int64_t elements = 0;
      for (const Part& part : mapped.parts) {
        INFO(part.name);
        CHECK(part.name.find_first_of("{}*") == std::string::npos);
        CHECK(++seen[part.name] == 1);
        parts.push_back(numbered(part.shape, DType::f32, next));
        elements += part.shape.numel();
      }
      CHECK(elements == mapped.shape.numel());
      const Tensor ours = join_parts(mapped, parts);
      CHECK(ours.shape() == mapped.shape);
      const NamedTensors again = take_apart(mapped, ours);
      for (size_t i = 0; i < parts.size(); ++i) {
        CHECK(again[i].second.shape() == mapped.parts[i].shape);
        CHECK(again[i].second.to_vector() == parts[i].to_vector());
      }
    }
  }
}

TEST_CASE("hf: layouts", "[hf]") {
  const HfConfig hf = read_hf_config(small_config("gpt2"), "gpt2");
  double next = 0;
  for (const MappedTensor& mapped : map_tensors(hf.architecture->names, hf.config)) {
    if (mapped.name != "layers.1.attn.qkv.weight") continue;
    REQUIRE(mapped.parts.size() == 1);
    CHECK(mapped.parts[0].name == "transformer.h.1.attn.c_attn.weight");
    CHECK(mapped.parts[0].shape == Shape{8, 24});
    const Tensor theirs = numbered({8, 24}, DType::f32, next), ours = join_parts(mapped, {theirs});
    CHECK(ours.slice(0, 5, 6).slice(1, 3, 4).item() == theirs.slice(0, 3, 4).slice(1, 5, 6).item());
  }
  const HfConfig grouped = read_hf_config(small_config("llama"), "llama");
  for (const MappedTensor& mapped : map_tensors(grouped.architecture->names, grouped.config)) {
    if (mapped.name != "layers.0.attn.qkv.weight") continue;
    REQUIRE(mapped.parts.size() == 3);
    CHECK(mapped.parts[0].shape == Shape{8, 8});
    CHECK(mapped.parts[1].name == "model.layers.0.self_attn.k_proj.weight");
    CHECK(mapped.parts[2].shape == Shape{4, 8});
  }
}

TEST_CASE("hf: a round trip changes no bit, in every element type, and keeps config keys", "[hf]") {
  for (const std::string& kind : kinds)
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      INFO(kind << " " << dtype);
      TemporaryFolder tmp;
      write_folder(tmp / "hf", small_config(kind), small_weights(kind, dtype));
      check_round_trip(tmp / "hf");
    }
  TemporaryFolder tmp;
  write_folder(tmp / "hf", small_config("gpt2"), small_weights("gpt2", DType::bf16));
  // Files of tokenizer and generation are carried along as they are, byte for byte.
  const std::vector<std::string> files = {
      "tokenizer.json",         "tokenizer_config.json", "special_tokens_map.json", "merges.txt",
      "generation_config.json", "tokenizer.model",       "chat_template.jinja"};
  for (const std::string& name : files)
    write_file(tmp / "hf/" + name, "{}" + std::string(name == "merges.txt", '\0'));
  write_portable(read_portable(tmp / "hf", ModelFormat::hf), tmp / "ours", ModelFormat::normlab);
  CHECK(read_model_config(tmp / "ours/config.json").tokenizer == "tokenizer.json");
  write_portable(read_portable(tmp / "ours", ModelFormat::normlab), tmp / "back", ModelFormat::hf);
  const Json back = read_json(tmp / "back/config.json");
  CHECK(back["bos_token_id"] == 3);
  CHECK(back["attn_pdrop"] == 0.1);
  CHECK(back["eos_token_id"].is_null());
  CHECK(back["dtype"] == "bfloat16");
  CHECK(back["architectures"][0] == "GPT2LMHeadModel");
  for (const std::string& name : files)
    CHECK(read_file(tmp / "back/" + name) == read_file(tmp / "hf/" + name));
}

TEST_CASE("hf: config keys arrive", "[hf]") {
  const ModelConfig gemma = read_hf_config(small_config("gemma2"), "").config;
  CHECK(gemma.embed_scale == std::sqrt(8.0));
  CHECK(gemma.attn_scale == 1 / std::sqrt(10.0));
  CHECK(gemma.attn_softcap == 50);
  CHECK(gemma.gain_offset == 1);
  CHECK(gemma.tied);
  const ModelConfig roberta = read_hf_config(small_config("roberta"), "").config;
  CHECK(roberta.position_offset == 2);
  CHECK(roberta.context == 6);
  const ModelConfig llama = read_hf_config(small_config("llama"), "").config;
  CHECK(llama.rope_theta == 500000);
  CHECK(llama.activation == nn::Activation::swiglu);
  CHECK(llama.bias == BiasChoice{false, false, false});
  Json modern = small_config("llama");
  modern.update(parse_json(
      R"({"rope_parameters": {"rope_theta": 3000.0, "rope_type": "default"}, "mlp_bias": true})", ""));
  CHECK(read_hf_config(modern, "").config.rope_theta == 3000);
  CHECK(read_hf_config(modern, "").config.bias == BiasChoice{false, false, true});
  Json gpt2 = small_config("gpt2");
  gpt2.update(
      parse_json(R"({"scale_attn_weights": false, "n_inner": 9, "activation_function": "relu"})", ""));
  const ModelConfig changed = read_hf_config(gpt2, "").config;
  CHECK(changed.attn_scale == 1);
  CHECK(changed.ffn_width == 9);
  CHECK(changed.activation == nn::Activation::relu);
  const HfWritten written = write_hf_config(changed, Json::object());
  CHECK(read_hf_config(written.json, "").config == changed);
}

TEST_CASE("hf: keys of models on the Hub that change no number are accepted and return", "[hf]") {
  const Json everywhere =
      parse_json(R"({"_num_labels": 1, "_attn_implementation_internal": "sdpa", "id2label": {"0": "A"},
    "output_past": true, "auto_map": {"AutoModel": "m.Model"}, "torch_dtype": "float16", "use_cache": false,
    "transformers.js_config": {"dtype": "q4"}, "unknown_and_off": null, "xla_device": true, "eos_token_id": [3, 4],
    "rope_interleaved": false, "neftune_noise_alpha": 5.0})",
                 "test");
  const std::pair<const char*, const char*> more[] = {
      {"gpt2",
       R"({"n_special": 0, "predict_special_tokens": true, "n_ctx": 6, "task_specific_params": {"a": 1},
        "summary_type": "cls_index", "max_position_embeddings": 6, "hidden_size": 8, "num_hidden_layers": 2})"},
      {"bert",
       R"({"pooler_type": "first_token_transform", "directionality": "bidi", "gradient_checkpointing": true,
        "cell": {}, "structure": [], "pre_trained": "", "emb_size": 4, "embedding_size": 8, "language": "english"})"},
      {"roberta", R"({"classifier_dropout": null, "gradient_checkpointing": false, "name": "Roberta"})"},
      {"camembert", R"({"output_past": true})"},
      {"llama",
       R"({"max_sequence_length": 2048, "is_llama_config": true, "pretraining_tp": 2, "unsloth_fixed": true,
        "unsloth_version": "2025.1.1", "sliding_window": null, "use_sliding_window": false, "max_window_layers": 1,
        "clip_qkv": null, "pad_token_id": -1})"},
      {"olmoe", R"({"router_z_loss_coef": 0.001})"},
      {"qwen2",
       R"({"use_mrope": false, "max_window_layers": 21, "sliding_window": 131072, "use_sliding_window": false,
        "attention_dropout": 0.0})"},
      {"qwen3", R"({"max_window_layers": 1, "sliding_window": null, "attention_bias": false})"},
      {"qwen3_moe", R"({"mlp_only_layers": [], "decoder_sparse_step": 1, "max_window_layers": 1,
        "router_aux_loss_coef": 0.001, "output_router_logits": false})"},
      {"mistral", R"({"attention_dropout": 0.0, "rope_theta": 10000.0})"},
      {"mixtral", R"({"router_jitter_noise": 0.0, "num_experts_per_tok": 2, "sliding_window": null})"},
      {"gemma", R"({"hidden_act": "gelu", "hidden_activation": null})"},
      {"opt",
       R"({"_remove_final_layer_norm": false, "prefix": "</s>", "word_embed_proj_dim": 8, "layerdrop": 0.0,
        "activation_dropout": 0.0, "init_std": 0.02})"},
      {"gpt_neox", R"({"rotary_emb_base": 10000, "use_parallel_residual": true, "hidden_dropout": 0.0,
        "rope_theta": 10000, "partial_rotary_factor": 0.5})"},
      {"distilbert", R"({"tie_weights_": true, "sinusoidal_pos_embds": false, "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2, "n_heads": 2})"},
      {"gemma2",
       R"({"sliding_window_size": 4096, "hidden_act": "gelu_pytorch_tanh", "cache_implementation": "hybrid"})"}};
  for (const std::string& kind : kinds) {
    const Json plain = small_config(kind);
    Json config = plain;
    config.update(everywhere);
    for (const auto& [name, keys] : more)
      if (kind == name) config.update(parse_json(keys, "test"));
    INFO(kind);
    const HfConfig hf = read_hf_config(config, "config.json");
    CHECK(hf.config == read_hf_config(plain, "config.json").config);
    const HfWritten written = write_hf_config(hf.config, hf.kept);
    CHECK(written.architecture->model_type == plain["model_type"]);
    for (const auto& [key, value] : config.items()) {
      INFO(key);
      CHECK((!written.json.contains(key) || written.json[key] == value));
      CHECK((written.json.contains(key) || key == "rope_theta"));
    }
  }
}

TEST_CASE("hf: keys that would change numbers are refused by name", "[hf]") {
  CHECK_THAT(key_refusal("gpt2", R"({"hidden_size": 16})"), Contains("hidden_size 16 contradicts n_embd 8"));
  CHECK_THAT(key_refusal("xglm", R"({"num_hidden_layers": 3})"),
             Contains("num_hidden_layers 3 contradicts num_layers"));
  CHECK_THAT(key_refusal("bert", R"({"embedding_size": 4})"),
             Contains("embedding_size 4 contradicts hidden_size 8"));
  CHECK_THAT(key_refusal("llama", R"({"rope_interleaved": true})"), Contains("rope_interleaved true"));
  CHECK_THAT(key_refusal("llama", R"({"logits_scaling": 8.0})"), Contains("logits_scaling"));
  CHECK_THAT(key_refusal("llama", R"({"compression_config": {"bits": 8}})"), Contains("compression_config"));
}

TEST_CASE("hf: the rotary base is read where transformers reads it", "[hf]") {
  const auto theta = [](const char* keys) {
    Json config = small_config("llama");
    config.erase("rope_theta");
    config.update(parse_json(keys, "test"));
    return read_hf_config(config, "").config.rope_theta;
  };
  CHECK(theta("{}") == 1e4);
  CHECK(theta(R"({"rope_theta": 5e5})") == 5e5);
  CHECK(theta(R"({"rope_scaling": {"rope_type": "default", "rope_theta": 1e6}})") == 1e6);
  CHECK(theta(R"({"rope_theta": 5e5, "rope_scaling": {"type": "default"}})") == 5e5);
  CHECK(theta(R"({"rope_theta": 5e5, "rope_scaling": null})") == 5e5);
  CHECK(theta(R"({"rope_theta": 5e5, "rope_parameters": {"rope_theta": 7e5}})") == 7e5);
  CHECK(theta(R"({"rope_scaling": {"rope_theta": 1e6}, "rope_parameters": {"rope_theta": 7e5}})") == 1e6);
  CHECK(theta(R"({"rope_scaling": {"type": "default"}, "rope_parameters": {"rope_theta": 7e5}})") == 1e4);
  CHECK(theta(R"({"rope_scaling": {}, "rope_parameters": {"rope_theta": 7e5}})") == 7e5);
}

TEST_CASE("hf: the context that scaled angles began with, inside the object or beside it", "[hf]") {
  const auto original = [](const char* keys) {
    Json config = small_config("llama");
    config.update(parse_json(keys, "test"));
    return read_hf_config(config, "").config.rope_scaling->original_context;
  };
  CHECK(original(R"({"rope_scaling": {"type": "yarn", "factor": 2.0}})") == 6);
  CHECK(original(
            R"({"rope_scaling": {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 3}})") ==
        3);
  CHECK(original(R"({"original_max_position_embeddings": 4,
      "rope_scaling": {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 3}})") == 4);
  CHECK(
      original(
          R"({"original_max_position_embeddings": null, "rope_scaling": {"type": "yarn", "factor": 2.0}})") ==
      6);
}

TEST_CASE("hf: windows, and the layers that have them, are read where transformers reads them", "[hf]") {
  const auto windows = [](const char* kind, const char* keys) {
    Json config = small_config(kind);
    config.update(parse_json(keys, "test"));
    const HfConfig hf = read_hf_config(config, kind);
    const HfWritten back = write_hf_config(hf.config, hf.kept);
    for (const auto& [key, value] : config.items()) {
      INFO(key);
      CHECK((key == "rope_theta" || back.json[key] == value));
    }
    CHECK(hf.config.context == 6);
    CHECK(hf.config.longest_row == 0);
    return std::pair(hf.config.window_of(0), hf.config.window_of(1));
  };
  using Windows = std::pair<int64_t, int64_t>;
  CHECK(windows("gemma2", R"({"sliding_window": 4})") == Windows{4, 0});
  CHECK(windows("gemma2", R"({"sliding_window": 4, "layer_types": ["full_attention", "full_attention"]})") ==
        Windows{0, 0});
  CHECK(
      windows("gemma2", R"({"sliding_window": 4, "layer_types": ["full_attention", "sliding_attention"]})") ==
      Windows{0, 4});
  CHECK(windows("mistral", R"({"sliding_window": 4})") == Windows{4, 4});
  CHECK(windows("mixtral", R"({"sliding_window": 4})") == Windows{4, 4});
  CHECK(windows("qwen2", R"({"sliding_window": 4})") == Windows{0, 0});
  CHECK(windows("qwen2", R"({"sliding_window": 4, "use_sliding_window": true, "max_window_layers": 1})") ==
        Windows{0, 4});
  CHECK(windows("qwen3", R"({"sliding_window": 4, "use_sliding_window": true})") == Windows{0, 0});
  CHECK(windows("qwen3_moe", R"({"sliding_window": 4, "use_sliding_window": true})") == Windows{4, 4});
  CHECK(windows("gpt_neo", R"({"window_size": 4})") == Windows{0, 4});
}

TEST_CASE("hf: a window that transformers' mask does not have limits the rows", "[hf]") {
  Json config = small_config("llama");
  config["sliding_window"] = 4;
  const HfConfig limited = read_hf_config(config, "");
  CHECK(limited.config.longest_row == 4);
  CHECK(limited.config.context == 4);
  const Json back = write_hf_config(limited.config, limited.kept).json;
  CHECK(back["sliding_window"] == 4);
  CHECK_FALSE(back.contains("rope_parameters"));  // another way to say it, which the file did not take
  Json dynamic = small_config("llama");
  dynamic["rope_scaling"] = {{"type", "dynamic"}, {"factor", 4.0}};
  const HfConfig growing = read_hf_config(dynamic, "");
  CHECK(growing.config.longest_row == 6);
  const Json returned = write_hf_config(growing.config, growing.kept).json;
  CHECK(returned["rope_scaling"] == dynamic["rope_scaling"]);
  CHECK_FALSE(returned.contains("sliding_window"));
  Transformer model(limited.config, nn::Precision::of(DType::f32));
  const auto read = [&](int64_t n) {
    return model.hidden({Tensor::zeros({1, n}, DType::i32), {}, {}}, model.context());
  };
  CHECK_NOTHROW(read(4));
  CHECK_THROWS_WITH(read(5), Contains("5 tokens") && Contains("at most 4"));
}

TEST_CASE("hf: reading and writing count their tensors", "[hf]") {
  TemporaryFolder tmp;
  write_folder(tmp / "hf", small_config("llama"), small_weights("llama", DType::f32));
  std::vector<int64_t> counted;
  const auto count = [&](int64_t done, int64_t total) {
    counted.push_back(done);
    if (done == total) counted.push_back(-total);
  };
  const PortableModel model = read_portable(tmp / "hf", ModelFormat::hf, count);
  const auto n = int64_t(model.tensors.size());
  REQUIRE(int64_t(counted.size()) == n + 1);
  CHECK(counted.front() == 1);
  CHECK(counted.back() == -n);
  counted.clear();
  write_portable(model, tmp / "ours", ModelFormat::normlab, count);
  CHECK(int64_t(counted.size()) == n + 1);
}

TEST_CASE("hf: older files: no prefix, gamma and beta, buffers, tied copies", "[hf]") {
  TemporaryFolder tmp;
  NamedTensors tensors;
  for (auto& [name, tensor] : small_weights("gpt2", DType::f32))
    tensors.emplace_back(name.substr(12), tensor);
  const Tensor mask = Tensor::zeros({1, 1, 6, 6}, DType::u8);
  tensors.emplace_back("h.0.attn.bias", mask);
  tensors.emplace_back("lm_head.weight", tensors[0].second);
  write_folder(tmp / "hf", small_config("gpt2"), tensors);
  const PortableModel model = read_portable(tmp / "hf", ModelFormat::hf);
  REQUIRE(model.dropped.size() == 2);
  CHECK(model.dropped[0].name == "h.0.attn.bias");
  CHECK_THAT(model.dropped[1].reason, Contains("copy of wte.weight"));

  NamedTensors bert;
  for (auto& [name, tensor] : small_weights("bert", DType::f32)) {
    std::string old = name;
    if (const size_t at = old.find("LayerNorm.weight"); at != old.npos)
      old = old.substr(0, at) + "LayerNorm.gamma";
    if (const size_t at = old.find("LayerNorm.bias"); at != old.npos)
      old = old.substr(0, at) + "LayerNorm.beta";
    // A file may hold the head in place of the embedding that it is tied to.
    if (old == "bert.embeddings.word_embeddings.weight") old = "cls.predictions.decoder.weight";
    bert.emplace_back(old, tensor);
  }
  bert.emplace_back("bert.pooler.dense.weight", Tensor::zeros({8, 8}, DType::f32));
  bert.emplace_back("cls.seq_relationship.bias", Tensor::zeros({2}, DType::f32));
  bert.emplace_back("bert.embeddings.position_ids", Tensor::zeros({1, 6}, DType::i64));
  write_folder(tmp / "bert", small_config("bert"), bert);
  const PortableModel old = read_portable(tmp / "bert", ModelFormat::hf);
  CHECK(old.dropped.size() == 3);
  CHECK(old.tensors[0].second.to_vector() == small_weights("bert", DType::f32)[0].second.to_vector());
}

TEST_CASE("hf: an untied masked LM has its bias in the decoder, and both names are written", "[hf]") {
  struct Names {
    const char *kind, *decoder, *older;
  };
  for (const Names& names : {Names{"bert", "cls.predictions.decoder.bias", "cls.predictions.bias"},
                             Names{"roberta", "lm_head.decoder.bias", "lm_head.bias"}}) {
    INFO(names.kind);
    TemporaryFolder tmp;
    Json config = small_config(names.kind);
    config["tie_word_embeddings"] = false;
    const HfConfig hf = read_hf_config(config, names.kind);
    NamedTensors tensors;
    double next = -20;
    for (const MappedTensor& mapped : map_tensors(hf.architecture->names, hf.config))
      for (const Part& part : mapped.parts)
        tensors.emplace_back(part.name, numbered(part.shape, DType::f32, next));
    const auto bias_of = [&](const char* folder) {
      const PortableModel model = read_portable(tmp / folder, ModelFormat::hf);
      for (const auto& [name, tensor] : model.tensors)
        if (name == "head.bias") return tensor.to_vector();
      return std::vector<double>();
    };
    std::vector<double> own;
    for (auto& [name, tensor] : tensors)
      if (name == names.decoder) own = tensor.to_vector();
    REQUIRE(own.size() == 11);
    NamedTensors both = tensors;
    both.emplace_back(names.older, Tensor::zeros({11}, DType::f32));
    write_folder(tmp / "both", config, both);
    CHECK(bias_of("both") == own);
    // Files from before transformers 5, where both names were one tensor, may hold it under the older alone.
    for (auto& [name, tensor] : tensors)
      if (name == names.decoder) name = names.older;
    write_folder(tmp / "older", config, tensors);
    CHECK(bias_of("older") == own);

    write_portable(read_portable(tmp / "both", ModelFormat::hf), tmp / "back", ModelFormat::hf);
    const Safetensors back(tmp / "back");
    for (const char* name : {names.decoder, names.older}) {
      REQUIRE(back.find(name) != nullptr);
      CHECK(back.load(name).to_vector() == own);
    }
  }
}

TEST_CASE("hf: sharded files", "[hf]") {
  TemporaryFolder tmp;
  const NamedTensors tensors = small_weights("olmoe", DType::bf16);
  const size_t half = tensors.size() / 2;
  write_folder(tmp / "whole", small_config("olmoe"), tensors);
  make_directories(tmp / "hf");
  write_safetensors(tmp / "hf/a.safetensors", {tensors.begin(), tensors.begin() + long(half)});
  write_safetensors(tmp / "hf/b.safetensors", {tensors.begin() + long(half), tensors.end()});
  Json index = {{"metadata", Json::object()}, {"weight_map", Json::object()}};
  for (size_t i = 0; i < tensors.size(); ++i)
    index["weight_map"][tensors[i].first] = i < half ? "a.safetensors" : "b.safetensors";
  write_file(tmp / "hf/model.safetensors.index.json", index.dump());
  write_file(tmp / "hf/config.json", small_config("olmoe").dump());
  write_portable(read_portable(tmp / "hf", ModelFormat::hf), tmp / "back", ModelFormat::hf);
  check_same_tensors(Safetensors(tmp / "whole"), Safetensors(tmp / "back"));
}

TEST_CASE("hf: what our format cannot say is refused", "[hf]") {
  CHECK_THAT(key_refusal("llama", R"({"rope_scaling": {"rope_type": "proportional", "factor": 8.0}})"),
             Contains("rope_scaling.rope_type \"proportional\"") && Contains("\"llama3\""));
  CHECK_THAT(key_refusal("llama", R"({"rope_scaling": {"rope_type": "longrope", "factor": 8.0}})"),
             Contains("rope_scaling.short_factor is missing"));
  CHECK_THAT(key_refusal("gpt_neo", R"({"attention_types": [[["global"], 1]]})"),
             Contains("1 words for 2 layers"));
  CHECK_THAT(key_refusal("gpt_neo", R"({"attention_types": [[["global", "far"], 1]]})"),
             Contains("\"far\" is neither"));
  // Refused before anything is as long as they say.
  CHECK_THAT(
      key_refusal("gpt_neo", R"({"num_layers": 67108864, "attention_types": [[["global"], 67108864]]})"),
      Contains("num_layers: 67108864 is outside [1, 4096]"));
  CHECK_THAT(key_refusal("gpt_neo", R"({"attention_types": [[["global", "far"], 2]]})"),
             Contains("more than the 2 layers"));
  CHECK_THAT(key_refusal("gpt_neo", R"({"attention_types": [[[], 2], [["global"], 2]]})"),
             Contains("expected a list of [words, count]"));
  CHECK_THAT(key_refusal("llama", R"({"rope_parameters": {"rope_theta": 1e4, "rope_type": "yarn"}})"),
             Contains("rope_parameters.factor is missing"));
  CHECK_THAT(key_refusal("llama", R"({"rope_scaling": {"type": "linear", "factor": 2.0, "mscale": 1.0}})"),
             Contains("rope_scaling.mscale 1.0") && Contains("linear"));
  CHECK_THAT(key_refusal("llama", R"({"rope_scaling": {"type": "linear", "factor": 0}})"),
             Contains("factor 0"));
  CHECK_THAT(
      key_refusal("llama", R"({"rope_scaling": {"type": "llama3", "factor": 8.0, "low_freq_factor": 4.0,
                 "high_freq_factor": 4.0}})"),
      Contains("low_freq_factor 4"));
  CHECK_THAT(key_refusal("mistral", R"({"attention_bias": true})"), Contains("attention_bias true"));
  CHECK_THAT(key_refusal("qwen2", R"({"use_mrope": true})"), Contains("use_mrope"));
  CHECK_THAT(key_refusal("qwen3_moe", R"({"mlp_only_layers": [0]})"), Contains("all layers have experts"));
  CHECK_THAT(key_refusal("qwen3_moe", R"({"decoder_sparse_step": 2})"), Contains("decoder_sparse_step 2"));
  CHECK_THAT(key_refusal("qwen3_moe", R"({"num_local_experts": 4})"), Contains("contradicts num_experts 3"));
  CHECK_THAT(key_refusal("gemma", R"({"hidden_activation": "relu"})"), Contains("contradicts hidden_act"));
  CHECK_THAT(key_refusal("opt", R"({"word_embed_proj_dim": 4})"), Contains("embed_tokens"));
  CHECK_THAT(key_refusal("opt", R"({"layer_norm_elementwise_affine": false})"), Contains("gains and biases"));
  CHECK_THAT(key_refusal("gpt_neox", R"({"rotary_pct": 0.1})"), Contains("rotary_pct): 1 of a head's 8"));
  CHECK_THAT(key_refusal("gpt_neox", R"({"rotary_pct": 0.4})"), Contains("rotary_pct): 3 of a head's 8"));
  CHECK_THAT(key_refusal("gpt_neox", R"({"rope_scaling": {"partial_rotary_factor": 0.1}})"),
             Contains("0 of a head's 8"));
  CHECK_THAT(key_refusal("gpt_neox", R"({"partial_rotary_factor": 0.25})"),
             Contains("partial_rotary_factor 0.25 contradicts the 4 channels"));
  CHECK_THAT(key_refusal("gpt_neox", R"({"rotary_emb_base": 500, "rope_theta": 10000})"),
             Contains("rope_theta 10000 contradicts the base 500"));
  CHECK_THAT(key_refusal("llama", R"({"num_key_value_heads": 3})"),
             Contains("num_key_value_heads 3 must divide num_attention_heads"));
  CHECK_THAT(key_refusal("xglm", R"({"pad_token_id": -1})"), Contains("pad_token_id"));
  CHECK_THAT(key_refusal("distilbert", R"({"activation": "relu"})"), Contains("activation \"relu\""));
  CHECK_THAT(key_refusal("llama", R"({"rope_parameters": {"factor": 2.0}})"),
             Contains("rope_parameters.factor"));
  CHECK_THAT(key_refusal("llama", R"({"partial_rotary_factor": 0.5})"), Contains("partial_rotary_factor"));
  CHECK_THAT(key_refusal("llama", R"({"hidden_act": "quick_gelu"})"),
             Contains("quick_gelu") && Contains("silu"));
  CHECK_THAT(key_refusal("llama", R"({"quantization_config": {"bits": 4}})"),
             Contains("quantization_config"));
  CHECK_THAT(key_refusal("llama", R"({"hiden_size": 4})"), Contains("hiden_size") && Contains("hidden_size"));
  CHECK_THAT(key_refusal("llama", R"({"head_dim": 5})"), Contains("head_dim must be even"));
  CHECK_THAT(key_refusal("gemma2", R"({"layer_types": ["full_attention"]})"), Contains("list of 2 words"));
  CHECK_THAT(key_refusal("gemma2", R"({"use_bidirectional_attention": true})"), Contains("bidirectional"));
  CHECK_THAT(key_refusal("olmoe", R"({"clip_qkv": 8.0})"), Contains("clip_qkv 8.0"));
  CHECK_THAT(key_refusal("olmo2", R"({"mlp_bias": true})"), Contains("mlp_bias"));
  CHECK_THAT(key_refusal("gpt2", R"({"scale_attn_by_inverse_layer_idx": true})"),
             Contains("inverse_layer_idx"));
  CHECK_THAT(key_refusal("gpt2", R"({"add_cross_attention": true})"), Contains("cross"));
  CHECK_THAT(key_refusal("bert", R"({"hidden_act": "relu"})"), Contains("hidden_act \"relu\""));
  CHECK_THAT(key_refusal("bert", R"({"is_decoder": true})"), Contains("is_decoder"));
  CHECK_THAT(key_refusal("bert", R"({"position_embedding_type": "relative_key"})"), Contains("relative_key"));
  CHECK_THAT(key_refusal("roberta", R"({"pad_token_id": null})"), Contains("pad_token_id"));
  CHECK_THAT(key_refusal("xglm", R"({"pad_token_id": 4})"), Contains("pad_token_id 4"));
  CHECK_THAT(key_refusal("gpt_neo", R"({"attention_layers": ["global", "global"]})"),
             Contains("attention_layers contradicts attention_types at layer 1"));
  CHECK(key_refusal("gpt_neo", R"({"attention_layers": ["global", "local"]})") == "accepted");
  CHECK(key_refusal("llama", R"({"is_decoder": true})") == "accepted");
  CHECK_THAT(key_refusal("gpt2", R"({"model_type": "bloom"})"), Contains("bloom") && Contains("olmoe"));
  CHECK_THAT(key_refusal("gpt2", R"({"n_layer": 4000})"), Contains("4000 layers"));
  CHECK_THAT(key_refusal("gpt2", R"({"n_head": 3})"), Contains("heads 3 must divide width 8"));
}

TEST_CASE("hf: any value under any key is read or refused in one line", "[hf][medium]") {
  const Json values = parse_json(
      R"([null, true, false, 0, -1, 1, 7, 1e300, -0.5, 9007199254740993, "", "gelu", "yarn", [], [null], [[1]],
          {}, {"rope_theta": null}, {"rope_theta": -1}, {"rope_type": 3}])",
      "test");
  int accepted = 0, refused = 0;
  for (const std::string& kind : kinds) {
    const Json config = small_config(kind);
    std::vector<std::string> names = {"surprise"};
    for (const HfKey& key : read_hf_config(config, kind).architecture->keys) names.push_back(key.name);
    for (const std::string& name : names)
      for (const Json& value : values) {
        INFO(kind << " " << name << " = " << value);
        Json changed = config;
        changed[name] = value;
        std::optional<HfConfig> hf;
        try {
          hf = read_hf_config(changed, "config.json");
        } catch (const Error& e) {
          CHECK(std::string(e.what()).find('\n') == std::string::npos);
          ++refused;
        }
        if (hf) {  // what can be read can be written
          ++accepted;
          const HfWritten written = write_hf_config(hf->config, hf->kept);
          CHECK(read_hf_config(written.json, "again").config == hf->config);
        }
        changed.erase(name);
        try {
          read_hf_config(changed, "config.json");
        } catch (const Error&) {
        }
      }
  }
  CHECK(accepted > 200);
  CHECK(refused > 1500);
  for (const char* text : {"[]", "3", "null", "{}", R"({"model_type": 3})", R"({"model_type": null})"})
    CHECK_THROWS_AS(read_hf_config(parse_json(text, "test"), "config.json"), Error);
}

TEST_CASE("hf: tensors that are missing, unknown, misshapen or of the wrong kind", "[hf]") {
  CHECK(refusal("gpt2", [](Json&, NamedTensors&) {}) == "accepted");
  CHECK_THAT(refusal("gpt2", [](Json&, NamedTensors& t) { t.pop_back(); }),
             Contains("\"transformer.ln_f.bias\" [8] is missing"));
  CHECK_THAT(
      refusal("gpt2",
              [](Json&, NamedTensors& t) { t.emplace_back("transformer.h.2.ln_1.weight", t[3].second); }),
      Contains("unexpected tensor \"transformer.h.2.ln_1.weight\"") && Contains("2 layers"));
  CHECK_THAT(refusal("gpt2",
                     [](Json&, NamedTensors& t) {
                       t[0].second = Tensor::zeros({8, 11}, DType::f32);
                     }),
             Contains("\"transformer.wte.weight\" must be [11, 8], the file has [8, 11]"));
  CHECK_THAT(refusal("gpt2",
                     [](Json&, NamedTensors& t) {
                       t[0].second = Tensor::zeros({11, 8}, DType::i32);
                     }),
             Contains("must be floating"));
  CHECK_THAT(refusal("gpt2", [](Json&, NamedTensors& t) { t.emplace_back("wte.weight", t[0].second); }),
             Contains("twice"));
  CHECK_THAT(refusal("gpt2",
                     [](Json&, NamedTensors& t) {
                       t.emplace_back("lm_head.weight", Tensor::zeros({11, 8}, DType::f32));
                     }),
             Contains("should be a copy of \"transformer.wte.weight\""));
  CHECK_THAT(refusal("llama",
                     [](Json&, NamedTensors& t) {
                       for (auto& [name, tensor] : t)
                         if (name.ends_with("0.self_attn.k_proj.weight"))
                           tensor = Tensor::zeros(tensor.shape(), DType::bf16);
                     }),
             Contains("q_proj.weight\" (f32)") && Contains("k_proj.weight\" (bf16)") && Contains("one element type"));
  TemporaryFolder tmp;
  CHECK_THROWS_WITH(load_any(tmp / "nowhere", nn::Precision::of(DType::f32)),
                    Contains("not a model directory"));
  make_directories(tmp / "other");
  write_file(tmp / "other/config.json", "{}");
  CHECK_THROWS_WITH(load_any(tmp / "other", nn::Precision::of(DType::f32)),
                    Contains("neither a normlab model"));
  write_file(tmp / "other/config.json", small_config("gpt2").dump());
  CHECK_THROWS_WITH(load_any(tmp / "other", nn::Precision::of(DType::f32)), Contains("no model.safetensors"));
}

TEST_CASE("hf: models that no architecture can say are refused, with the nearest", "[hf]") {
  ModelConfig c = read_hf_config(small_config("gpt2"), "").config;
  set_norms(c, "normformer");
  CHECK_THROWS_WITH(write_hf_config(c, Json::object()), Contains("the nearest, gpt2, differs in norms"));
  TemporaryFolder tmp;
  PortableModel model{c, {}, Json::object(), {}, {}};
  CHECK_THROWS_AS(write_portable(model, tmp / "out", ModelFormat::hf), Error);
  CHECK_FALSE(is_directory(tmp / "out"));
}

TEST_CASE("hf: a masked LM without token types becomes one of a single type, which is zero", "[hf]") {
  TemporaryFolder tmp;
  PortableModel model{read_hf_config(small_config("roberta"), "").config, {}, Json::object(), {}, {}};
  model.config.token_types = 0;
  double next = 0;
  for (const ParameterInfo& info : parameter_list(model.config))
    model.tensors.emplace_back(info.name, numbered(Shape(info.shape), DType::bf16, next));
  write_portable(model, tmp / "hf", ModelFormat::hf);
  const Tensor types = Safetensors(tmp / "hf").load("roberta.embeddings.token_type_embeddings.weight");
  CHECK(types.shape() == Shape{1, 8});
  CHECK(types.dtype() == DType::bf16);
  CHECK(types.to_vector() == std::vector<double>(8, 0));
  const PortableModel back = read_portable(tmp / "hf", ModelFormat::hf);
  for (const auto& [name, tensor] : model.tensors)
    for (const auto& [again, same] : back.tensors)
      if (again == name) CHECK(same.to_vector() == tensor.to_vector());
}

TEST_CASE("hf: token ids of generation_config.json and config.json, one, several or none", "[hf]") {
  TemporaryFolder tmp;
  Json config = small_config("gpt2");
  config.update(parse_json(R"({"bos_token_id": 2, "eos_token_id": [3, 4]})", "test"));
  write_folder(tmp / "hf", config, small_weights("gpt2", DType::f32));
  const auto ends = [&](const std::string& folder) { return text_tokens(tmp / folder).ends; };
  CHECK(ends("hf") == std::vector<int32_t>{3, 4});
  CHECK(text_tokens(tmp / "hf").begin == 2);
  write_portable(read_portable(tmp / "hf", ModelFormat::hf), tmp / "ours", ModelFormat::normlab);
  CHECK(ends("ours") == std::vector<int32_t>{3, 4});  // the keys travelled with the weights
  write_file(tmp / "ours/generation_config.json", R"({"eos_token_id": 5})");
  CHECK(ends("ours") == std::vector<int32_t>{5});
  CHECK(text_tokens(tmp / "ours").begin == 2);
  write_file(tmp / "ours/generation_config.json", R"({"eos_token_id": null, "bos_token_id": [7]})");
  CHECK(ends("ours") == std::vector<int32_t>{3, 4});
  CHECK(text_tokens(tmp / "ours").begin == 7);
  config.update(parse_json(R"({"bos_token_id": -1, "eos_token_id": null})", "test"));
  write_file(tmp / "hf/config.json", config.dump());
  CHECK(ends("hf").empty());
  CHECK_FALSE(text_tokens(tmp / "hf").begin);
}

TEST_CASE("hf: reference models survive both ways", "[hf]") {
  for (const std::string& kind : reference_kinds) {
    INFO(kind);
    const std::string folder = shared_path("reference/hf_" + kind);
    if (folder.empty()) return;
    check_round_trip(folder);
  }
}
