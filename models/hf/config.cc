// Reading and writing config.json by the tables of architecture.h, and the rows that tables share.
#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "models/hf/architecture.h"

namespace models {
namespace {

using engine::check;
using engine::Json;

constexpr int64_t largest_size = int64_t(1) << 26, most_layers = 4096;

/// Keys that any config.json may hold and that change no number of a forward pass: provenance, training,
/// tokens, defaults of text generation, names of classes.
const std::vector<std::string>& ignored_everywhere() {
  static const std::vector<std::string> names = {
      "architectures", "model_type", "transformers_version", "_name_or_path", "_commit_hash", "dtype",
      "torch_dtype", "attn_implementation", "_attn_implementation", "_attn_implementation_autoset",
      "experts_implementation", "use_cache", "return_dict", "torchscript", "use_bfloat16",
      "gradient_checkpointing", "output_attentions", "output_hidden_states", "chunk_size_feed_forward",
      "initializer_range", "tokenizer_class", "prefix", "bos_token_id", "eos_token_id", "pad_token_id",
      "sep_token_id", "cls_token_id", "decoder_start_token_id", "finetuning_task", "task_specific_params",
      "problem_type", "id2label", "label2id", "num_labels", "classifier_dropout", "tf_legacy_loss",
      "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups",
      "diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty",
      "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids",
      "num_return_sequences", "output_scores", "return_dict_in_generate", "forced_bos_token_id",
      "forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens",
      "begin_suppress_tokens", "cache_implementation", "max_new_tokens", "unk_token_id", "mask_token_id",
      // Of models on the Hub, read by no code that computes a logit.
      "output_past", "n_special", "predict_special_tokens", "xla_device", "is_llama_config",
      "max_sequence_length", "max_seq_length", "model_max_length", "unsloth_fixed", "unsloth_version",
      "transformers.js_config", "auto_map", "custom_pipelines", "neftune_noise_alpha", "use_flash_attn",
      "use_flash_attention_2", "tokenizer_name", "vocab_file", "language", "languages", "name", "license",
      "pad_token", "bos_token", "eos_token",
      // Means something beside cross-attention or where attention looks both ways: BERT has a row for it.
      "is_decoder"};
  return names;
}

/// Rows of every architecture: what would make another model of it.
const std::vector<HfKey>& keys_everywhere() {
  static const std::vector<HfKey> rows = {
      hf_only("is_encoder_decoder", false, "there is no cross-attention"),
      hf_only("add_cross_attention", false, "there is no cross-attention"),
      hf_only("cross_attention_hidden_size", nullptr, "there is no cross-attention"),
      hf_only("tie_encoder_decoder", false, "there is no encoder beside a decoder"),
      hf_only("pruned_heads", Json::object(), "all layers have the same heads"),
      hf_only("quantization_config", nullptr, "weights are f32, bf16 or f16"),
      hf_only("compression_config", nullptr, "weights are f32, bf16 or f16"),
      hf_only("rope_interleaved", false, "rotary positions turn channel i with channel i + half the head"),
  };
  return rows;
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool has_row(const HfArchitecture& architecture, const std::string& name) {
  for (const auto* keys : {&keys_everywhere(), &architecture.keys})
    for (const HfKey& key : *keys)
      if (key.name == name) return true;
  return false;
}

/// Keys without a row that change no number: those listed; private attributes of somebody's Python objects;
/// and null under a name that the architecture has no use for, which can switch nothing on.
bool harmless(const HfArchitecture& architecture, const std::string& name, const Json& value) {
  if (has_row(architecture, name)) return false;
  return contains(ignored_everywhere(), name) || contains(architecture.ignored, name) ||
         name.starts_with("_") || value.is_null();
}

void read_keys(const std::vector<HfKey>& keys, const Json& json, const std::string& what, HfConfig& out) {
  for (const HfKey& key : keys) {
    const bool there = json.contains(key.name);
    check(there || key.absent.has_value(), what, ": key \"", key.name, "\" is missing");
    if (key.read) key.read(out.config, {there ? json[key.name] : *key.absent, json, what + ": " + key.name});
    if (there && key.keep == Keep::yes) out.kept[key.name] = json[key.name];
  }
}

void check_known(const HfArchitecture& architecture, const Json& json, const std::string& what) {
  std::vector<std::string> known = ignored_everywhere();
  known.insert(known.end(), architecture.ignored.begin(), architecture.ignored.end());
  for (const auto* keys : {&keys_everywhere(), &architecture.keys})
    for (const HfKey& key : *keys) known.push_back(key.name);
  for (const auto& [name, value] : json.items())
    if (harmless(architecture, name, value)) known.push_back(name);
  engine::check_keys(json, known, what);
}

/// What decides about the numbers of a model, and nothing else.
ModelConfig essence(ModelConfig config) {
  config.tokenizer.clear(), config.suggested_init.clear(), config.norms.init.clear();
  return config;
}

/// The keys of our config in which two models differ.
std::vector<std::string> differences(const ModelConfig& a, const ModelConfig& b) {
  const Json left = to_json(a), right = to_json(b);
  std::vector<std::string> names;
  for (const auto& [key, value] : left.items())
    if (!right.contains(key) || right[key] != value) names.push_back(key);
  for (const auto& [key, value] : right.items())
    if (!left.contains(key)) names.push_back(key);
  return names;
}

/// The head that the class has, told by its name: "ForSequenceClassification"; "" of a base model and of
/// classes that are named otherwise (GPT2LMHeadModel).
std::string head_of(const std::string& class_name) {
  const size_t at = class_name.rfind("For");
  return at == std::string::npos ? "" : class_name.substr(at);
}

/// By model_type, and by class where several heads of one type are known: the first of them is what a file
/// that names no class, or the base model, is read as.
const HfArchitecture& find_architecture(const std::string& type, const Json& json, const std::string& what) {
  std::vector<std::string> types, heads;
  const HfArchitecture* first = nullptr;
  std::string class_name;
  if (json.contains("architectures") && json["architectures"].is_array() && !json["architectures"].empty())
    class_name = engine::json_string(json["architectures"][0], what + ": architectures");
  for (const HfArchitecture& architecture : hf_architectures()) {
    if (!contains(types, architecture.model_type)) types.push_back(architecture.model_type);
    if (type != architecture.model_type) continue;
    if (first == nullptr) first = &architecture;
    if (class_name == architecture.class_name) return architecture;
    heads.push_back(architecture.class_name);
  }
  check(first != nullptr, what, ": model_type \"", type.substr(0, 40), "\" is not ", engine::one_of(types));
  // Heads whose weights would be taken for those of another one, or found missing one by one.
  static const std::vector<std::string> other_heads = {
      "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice",
      "ForNextSentencePrediction"};
  check(!contains(other_heads, head_of(class_name)), what, ": ", class_name,
        " cannot be said here: of this model_type we have the head of ", engine::one_of(heads));
  return *first;
}

Json write_keys(const HfArchitecture& architecture, const ModelConfig& config) {
  Json json = {{"architectures", {architecture.class_name}}, {"model_type", architecture.model_type}};
  // Absent token ids would mean the ids of somebody else's vocabulary.
  for (const char* id : {"bos_token_id", "eos_token_id", "pad_token_id"}) json[id] = nullptr;
  for (const HfKey& key : architecture.keys) {
    if (!key.write) continue;
    if (const std::optional<Json> value = key.write(config)) json[key.name] = *value;
  }
  return json;
}

void add_kept(const HfArchitecture& architecture, const Json& kept, Json& json) {
  for (const auto& [name, value] : kept.items()) {
    const auto row = std::find_if(architecture.keys.begin(), architecture.keys.end(),
                                  [&name = name](const HfKey& key) { return key.name == name; });
    const bool ours = row != architecture.keys.end() ? row->keep == Keep::no : name == "model_type";
    if (!ours && name != "architectures") json[name] = value;
  }
}

}  // namespace

HfConfig read_hf_config(const Json& json, const std::string& what) {
  check(json.is_object() && json.contains("model_type"), what,
        ": no \"model_type\", so not a Hugging Face model");
  const std::string type = engine::json_string(json["model_type"], what + ": model_type");
  HfConfig out;
  out.architecture = &find_architecture(type, json, what);
  check_known(*out.architecture, json, what);
  out.config = out.architecture->base;
  read_keys(keys_everywhere(), json, what, out);
  read_keys(out.architecture->keys, json, what, out);
  for (const auto& [key, value] : json.items())
    if (key != "architectures" && harmless(*out.architecture, key, value)) out.kept[key] = value;
  try {
    out.config = checked(out.config);
  } catch (const engine::Error& e) {  // a rule between keys, which names no file
    engine::fail(what, ": ", e.what());
  }
  return out;
}

namespace {

/// Takes out again what the file that the model came from did without, where nothing needs it: two keys may
/// say one thing.
void drop_needless(const HfArchitecture& architecture, const ModelConfig& wanted, const Json& kept,
                   Json& json) {
  if (kept.value("model_type", Json()) != architecture.model_type) return;
  for (const HfKey& key : architecture.keys) {
    if (key.keep == Keep::no || kept.contains(key.name) || !json.contains(key.name)) continue;
    Json without = json;
    without.erase(key.name);
    try {
      if (differences(wanted, essence(read_hf_config(without, "").config)).empty()) json = without;
    } catch (const engine::Error&) {  // it is needed
    }
  }
}

}  // namespace

HfWritten write_hf_config(const ModelConfig& config, const Json& kept) {
  const ModelConfig wanted = checked(essence(config));
  const HfArchitecture* nearest = nullptr;
  std::vector<std::string> fewest;
  // Several may say the same model: the one that it came from goes first.
  std::vector<const HfArchitecture*> order;
  for (const HfArchitecture& architecture : hf_architectures())
    order.insert(kept.value("model_type", Json()) == architecture.model_type ? order.begin() : order.end(),
                 &architecture);
  for (const HfArchitecture* candidate : order) {
    const HfArchitecture& architecture = *candidate;
    HfWritten written{&architecture, write_keys(architecture, wanted)};
    std::vector<std::string> differing;
    try {
      differing = differences(wanted, essence(read_hf_config(written.json, architecture.model_type).config));
    } catch (const engine::Error&) {  // it has no word for some value
      continue;
    }
    if (differing.empty()) {
      add_kept(architecture, kept, written.json);
      drop_needless(architecture, wanted, kept, written.json);
      check(differences(wanted, essence(read_hf_config(written.json, "kept keys").config)).empty(),
            "the kept Hugging Face keys contradict the model");
      return written;
    }
    if (nearest == nullptr || differing.size() < fewest.size()) nearest = &architecture, fewest = differing;
  }
  check(nearest != nullptr, "no Hugging Face architecture says this model");
  engine::fail("no Hugging Face architecture says this model; the nearest, ", nearest->model_type,
               ", differs in ", engine::one_of(fewest));
}

// -------------------------------------------------------------------------------------------------
// rows

HfKey hf_size(const char* name, int64_t ModelConfig::*member) {
  // Rows behind that of the layers walk over them, before checked() has looked.
  const int64_t most = member == &ModelConfig::layers ? most_layers : largest_size;
  return {name, std::nullopt,
          [=](ModelConfig& c, const HfValue& v) { c.*member = engine::json_int(v.value, v.what, 1, most); },
          [=](const ModelConfig& c) { return Json(c.*member); }};
}

HfKey hf_default_size(const char* name, int64_t ModelConfig::*member, int64_t absent) {
  return {name, absent > 0 ? Json(absent) : Json(),
          [=](ModelConfig& c, const HfValue& v) {
            if (!v.value.is_null()) c.*member = engine::json_int(v.value, v.what, 1, largest_size);
          },
          [=](const ModelConfig& c) { return Json(c.*member); }, Keep::yes};
}

HfKey hf_alias(const char* name, int64_t ModelConfig::*member, const char* key) {
  return {name,
          Json(),
          [=](ModelConfig& c, const HfValue& v) {
            if (v.value.is_null()) return;
            const int64_t size = engine::json_int(v.value, v.what, 0, largest_size);
            check(size == c.*member, v.what, " ", size, " contradicts ", key, " ", c.*member);
          },
          {},
          Keep::yes};
}

HfKey hf_number(const char* name, double ModelConfig::*member, double absent) {
  return {name, Json(absent),
          [=](ModelConfig& c, const HfValue& v) { c.*member = engine::json_number(v.value, v.what); },
          [=](const ModelConfig& c) { return Json(c.*member); }};
}

HfKey hf_optional(const char* name, std::optional<double> ModelConfig::*member, double absent) {
  return {name, Json(absent),
          [=](ModelConfig& c, const HfValue& v) {
            c.*member =
                v.value.is_null() ? std::nullopt : std::optional(engine::json_number(v.value, v.what));
          },
          [=](const ModelConfig& c) { return c.*member ? Json(*(c.*member)) : Json(nullptr); }};
}

HfKey hf_flag(const char* name, bool ModelConfig::*member, bool absent) {
  return {name, Json(absent),
          [=](ModelConfig& c, const HfValue& v) { c.*member = engine::json_bool(v.value, v.what); },
          [=](const ModelConfig& c) { return Json(c.*member); }};
}

HfKey hf_only(const char* name, Json only, const char* why) {
  return {name,
          only,
          [=](ModelConfig&, const HfValue& v) {
            const bool same = v.value == only || (v.value.is_null() && only == false);
            check(same, v.what, " ", engine::json_text(v.value).substr(0, 60), " cannot be said here: ", why);
          },
          {},
          Keep::yes};
}

HfKey hf_activation(const char* name, const std::vector<HfWord>& words, const char* absent) {
  return {name, absent ? std::optional<Json>(absent) : std::nullopt,
          [name, &words](ModelConfig& c, const HfValue& v) {
            const std::string word = engine::json_string(v.value, v.what);
            std::vector<std::string> known;
            for (const HfWord& row : words) {
              if (word == row.theirs) return void(c.activation = row.ours);
              known.push_back(row.theirs);
            }
            engine::fail(v.what, " \"", word.substr(0, 40), "\" cannot be said here: only ",
                         engine::one_of(known));
          },
          [&words](const ModelConfig& c) -> std::optional<Json> {
            for (const HfWord& row : words)
              if (c.activation == row.ours) return Json(row.theirs);
            return std::nullopt;
          },
          Keep::yes};
}

const std::vector<HfWord>& plain_activations() {
  using A = nn::Activation;
  static const std::vector<HfWord> words = {{"gelu", A::gelu},           {"gelu_python", A::gelu},
                                            {"gelu_new", A::gelu_tanh},  {"gelu_pytorch_tanh", A::gelu_tanh},
                                            {"gelu_fast", A::gelu_tanh}, {"gelu_accurate", A::gelu_tanh},
                                            {"relu", A::relu},           {"relu2", A::relu2},
                                            {"silu", A::silu},           {"swish", A::silu}};
  return words;
}

const std::vector<HfWord>& gated_activations() {
  using A = nn::Activation;
  static const std::vector<HfWord> words = {{"silu", A::swiglu},
                                            {"swish", A::swiglu},
                                            {"gelu", A::geglu},
                                            {"gelu_python", A::geglu},
                                            {"gelu_pytorch_tanh", A::geglu_tanh},
                                            {"gelu_new", A::geglu_tanh},
                                            {"gelu_fast", A::geglu_tanh},
                                            {"gelu_accurate", A::geglu_tanh},
                                            {"relu", A::reglu}};
  return words;
}

}  // namespace models
