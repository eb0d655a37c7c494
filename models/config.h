// A model's architecture: every key of a model directory's config.json, and nothing of its training.
//
// The keys, their types, defaults and writers are one table in config.cc; the limits of sizes and the rules
// between keys are config_check.cc. Read first: nn/norm_spec.h, nn/choices.h. Read next: parameter_list.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "models/rope_scaling.h"
#include "nn/choices.h"
#include "nn/norm_spec.h"

namespace models {

/// clm predicts the next token (causal); mlm the masked ones; classify one label or number of a row from its
/// first token.
enum class Objective { clm, mlm, classify };
inline constexpr std::array<const char*, 3> objective_names = {"clm", "mlm", "classify"};

struct BiasChoice {
  bool qkv = true, out = true, ffn = true;
  bool operator==(const BiasChoice&) const = default;
};

/// Adaptive input and softmax (Baevski & Auli 2019): the vocabulary in bands [0, c0), [c0, c1), ..., [cn, V);
/// band b has embeddings of width / factor^b.
struct Adaptive {
  std::vector<int64_t> cutoffs;
  int64_t factor = 4;
  bool operator==(const Adaptive&) const = default;
};

struct ModelConfig {
  Objective objective = Objective::clm;
  int64_t vocab_size = 0, context = 0, layers = 0, width = 0, heads = 0, ffn_width = 0;
  int64_t kv_heads = 0, head_dim = 0;  // 0 until checked(): heads, width / heads
  nn::Activation activation = nn::Activation::gelu;
  nn::Positions positions = nn::Positions::learned;
  int64_t position_offset = 0;
  /// Rows may not be longer: the angles of the model that was imported change in longer ones. 0: no limit.
  int64_t longest_row = 0;
  /// Sliding windows: a query of `window_layers` (empty: of all) sees the last `window` keys, its own
  /// included. 0: all of them.
  int64_t window = 0;
  std::vector<int64_t> window_layers;
  double rope_theta = 1e4;
  int64_t rope_width = 0;  // channels of a head that turn; 0 until checked(): head_dim
  std::optional<RopeScaling> rope_scaling;
  int64_t token_types = 0;
  double embed_scale = 1;
  /// Of a token's embedding, and of what the head reads, where that is not width: a matrix leads from it to
  /// width and one back. 0: width, without matrices.
  int64_t embed_width = 0;
  BiasChoice bias;
  bool tied = true;
  nn::NormSpec norms;
  double norm_eps = 1e-5;
  std::optional<double> attn_scale, attn_softcap, logit_softcap;
  double gain_offset = 0;
  int64_t experts = 0, experts_per_token = 0;  // experts 0: a dense FFN
  bool router_normalize = false;
  std::optional<Adaptive> adaptive;
  int64_t classes = 0;
  std::vector<std::string> class_names;  // of a classifier, in the order of its outputs; or empty
  std::string tokenizer;                 // a file of the model directory, or empty

  /// The init rule that a norms preset or a size preset is paired with in its paper; not part of a saved
  /// model.
  std::string suggested_init;

  bool operator==(const ModelConfig&) const = default;

  int64_t bands() const { return adaptive ? int64_t(adaptive->cutoffs.size()) + 1 : 0; }
  int64_t q_width() const { return heads * head_dim; }
  int64_t kv_width() const { return kv_heads * head_dim; }
  int64_t word_width() const { return embed_width > 0 ? embed_width : width; }
  bool causal() const { return objective == Objective::clm; }
  int64_t window_of(int64_t layer) const;
};

/// Fills kv_heads, head_dim and rope_width, empties window_layers that name every layer, and fails on sizes or
/// choices that no model can have.
ModelConfig checked(ModelConfig config);

/// config.json of a model directory: format and version required, unknown keys refused. norms may be NormSpec
/// text, its JSON form or a preset's name.
ModelConfig model_config_from_json(const engine::Json& json, const std::string& what);
ModelConfig read_model_config(const std::string& path);
/// The "model" section of a training config: the same keys without format and version, or {"preset": NAME,
/// overrides}.
ModelConfig model_config_from_section(const engine::Json& json, const std::string& what);

/// What a person may write in a config, for --help and messages (config_docs.cc).
struct ModelKey {
  std::string name, doc;
};
const std::vector<ModelKey>& model_keys();
/// Error, with `what` in front, unless `key` exists and `value` is one that it can have. Rules between keys
/// are checked() alone.
void check_model_key(const std::string& key, const engine::Json& value, const std::string& what);
/// Whether a key of the model section holds one number.
bool is_number_key(const std::string& key);

/// Canonical: required keys, then those not at their default; norms expanded.
engine::Json to_json(const ModelConfig& config);

/// Replaces the placement by a preset or NormSpec text, with the activation that the preset cannot do
/// without.
void set_norms(ModelConfig& config, const std::string& text);

/// norms' init=, else the preset's, else empty: the model's own rule.
const std::string& init_rule(const ModelConfig& config);

/// Softmax scale of the scores: attn_scale, else head_dim^-1/2 (nGPT: head_dim^1/2, its q and k being unit
/// vectors).
double score_scale(const ModelConfig& config);

/// No frequencies: positions are not rotary. `long_rows`: of rows above long_rows_from().
engine::RopeAngles rope_angles(const ModelConfig& config, bool long_rows = false);
/// Rows of more tokens have other angles (longrope), so that keys of a shorter row are none of theirs. 0: all
/// rows have the same.
int64_t long_rows_from(const ModelConfig& config);

}  // namespace models
