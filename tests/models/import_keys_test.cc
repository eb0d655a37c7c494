// What is read from the keys of a Hugging Face config, what comes back, and what is refused. Read first:
// small_hf.h.
#include "small_hf.h"

using namespace small_hf;
using Catch::Matchers::Contains;

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
