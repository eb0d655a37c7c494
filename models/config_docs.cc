// One line for each key of a model's config. Read first: config.h.
#include "models/config.h"

#include "engine/base/text.h"

namespace models {
namespace {

template <size_t n>
std::string words(const std::array<const char*, n>& names) {
  return engine::one_of({names.begin(), names.end()});
}

}  // namespace

const std::vector<ModelKey>& model_keys() {
  static const std::vector<ModelKey> table = {
      {"objective", "clm: predict the next token; mlm: the masked ones; classify: a label of the row"},
      {"vocab_size", "tokens that the model knows; without it the tokenizer's"},
      {"context", "most tokens in a row; without it data.context"},
      {"layers", "blocks, each of attention and feed-forward"},
      {"width", "elements of the residual stream"},
      {"heads", "of attention"},
      {"kv_heads", "heads of keys and values, shared by groups of queries (default: heads)"},
      {"head_dim", "elements of a head (default: width / heads)"},
      {"ffn_width", "elements between the feed-forward's two matrices"},
      {"activation", "of the feed-forward: " + words(nn::activation_names)},
      {"positions", words(nn::position_names)},
      {"position_offset", "row of the first position in the table (fairseq: 2)"},
      {"longest_row", "rows may not be longer, for models whose angles change beyond; 0: no limit"},
      {"window", "keys that a query sees, its own included; 0: all"},
      {"window_layers", "the layers that have the window, as [0, 2] (default: all)"},
      {"rope_theta", "base of the rotary frequencies (default: 10000)"},
      {"rope_width", "elements of a head that turn (default: head_dim)"},
      {"rope_scaling", "{kind, factor, ...} of rotary frequencies: " + words(rope_kind_names)},
      {"token_types", "segments with an embedding of their own (BERT: 2)"},
      {"embed_scale", "factor on the token embeddings (default: 1)"},
      {"embed_width", "elements of a token's embedding, where that is not width; 0: width"},
      {"bias", "true, false, or {qkv, out, ffn} each for itself (default: true)"},
      {"tied", "whether the head multiplies by the token embeddings (default: true)"},
      {"norm_eps", "added to the variance in every norm (default: 1e-5)"},
      {"attn_scale", "factor on the scores (default: head_dim^-1/2)"},
      {"attn_softcap", "c tanh(scores / c)"},
      {"logit_softcap", "c tanh(logits / c)"},
      {"gain_offset", "added to every gain (Gemma: 1)"},
      {"experts", "feed-forwards of a layer that a router chooses among; 0: one dense one"},
      {"experts_per_token", "how many of them a token goes through"},
      {"router_normalize", "whether the chosen experts' weights are made to add up to 1"},
      {"adaptive", "{cutoffs, factor}: input and softmax in bands of the vocabulary"},
      {"classes", "labels of a classify model; 1: a number"},
      {"class_names", "their names, in order"},
      {"tokenizer", "file of the tokenizer in a model directory"},
      {"norms", "placement: a preset's name or NormSpec text (`normlab presets norms`, docs/04-norms.md)"},
  };
  return table;
}

}  // namespace models
