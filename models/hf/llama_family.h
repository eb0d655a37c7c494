// What Llama's many relatives share in transformers: names of tensors, keys of config.json, windows. A class
// is one file that joins its own rows to these. Read first: architecture.h, rope_keys.h.
#pragma once

#include "models/hf/rope_keys.h"

namespace models {

/// A causal LM with rotary positions.
ModelConfig hf_rope_lm(const char* norms);

/// What a class says when config.json does not.
struct FamilyDefaults {
  bool tied = false;
  double eps = 1e-6;
  double theta = 1e4;
  int64_t kv_heads = 0;  // 0: as many as heads
};
/// Sizes, norm_eps, tie_word_embeddings, rotary positions.
std::vector<HfKey> hf_family_keys(const FamilyDefaults& defaults);

/// attention_bias: all four projections of the attention have one, or none.
HfKey hf_attention_bias();
/// For classes whose feed-forward layers have no bias, or none at all: the key may only say so.
HfKey hf_no_bias(const char* name, bool BiasChoice::*member);

/// Rows of embeddings, projections, gated feed-forward and heads, behind those of the norms.
std::vector<NameRow> hf_family_names(const std::vector<NameRow>& norms);
/// `attn{in=rms} ffn{in=rms} final=rms`, by the names that most classes use.
std::vector<NameRow> hf_pre_norm_rows();
/// A mixture's rows: `gate` the router, `experts` the module of expert {E}; up, gate and down by name.
std::vector<NameRow> hf_expert_names(const std::string& gate, const std::string& experts, const char* up,
                                     const char* gate_proj, const char* down);
const std::vector<DroppedRow>& hf_family_dropped();

// Sliding windows: sliding_window is how many, and other keys say of which layers.

/// All layers have the window, if there is one. `absent`: of files without the key; 0: none.
HfKey hf_window_of_all(int64_t absent);
/// layer_types, a list of words; then sliding_window counts where one of them is "sliding_attention".
HfKey hf_layer_types();
/// Gemma-2's: without layer_types every second layer has the window.
HfKey hf_window_of_some(int64_t absent);
/// Qwen's: the layers from max_window_layers on have the window if use_sliding_window says so. `by_layer`:
/// layer_types and max_window_layers count.
std::vector<HfKey> hf_optional_window(bool by_layer);

}  // namespace models
