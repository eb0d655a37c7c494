// DistilBERT (Sanh et al. 2019, arXiv 1910.01108): BERT's layers without token types, under other names. Read
// first: architecture.h.
#include "models/hf/architecture.h"

namespace models {

using C = ModelConfig;

HfArchitecture hf_distilbert() {
  static const std::vector<HfWord> gelu = {{"gelu", nn::Activation::gelu},
                                           {"gelu_python", nn::Activation::gelu}};
  ModelConfig base;
  base.objective = Objective::mlm;
  base.positions = nn::Positions::learned;
  base.norm_eps = 1e-12;
  base.norms = nn::parse_norm_spec("attn{post=ln} ffn{post=ln} embed=ln");
  const std::string layer = "distilbert.transformer.layer.{N}.", embeddings = "distilbert.embeddings.";
  return {
      .model_type = "distilbert",
      .class_name = "DistilBertForMaskedLM",
      .prefix = "distilbert.",
      .base = base,
      .keys = {hf_size("vocab_size", &C::vocab_size), hf_size("max_position_embeddings", &C::context),
               hf_size("n_layers", &C::layers), hf_size("dim", &C::width), hf_size("n_heads", &C::heads),
               hf_size("hidden_dim", &C::ffn_width), hf_activation("activation", gelu, "gelu"),
               hf_flag("tie_word_embeddings", &C::tied, true),
               hf_alias("num_hidden_layers", &C::layers, "n_layers"),
               hf_alias("hidden_size", &C::width, "dim"),
               hf_alias("num_attention_heads", &C::heads, "n_heads")},
      // The position table lies in the file, whatever it began as.
      .ignored = {"dropout", "attention_dropout", "qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds",
                  "tie_weights_"},
      .names = {{"embed.tokens.weight", {embeddings + "word_embeddings.weight"}},
                {"embed.positions.weight", {embeddings + "position_embeddings.weight"}},
                {"embed.norm.*", {embeddings + "LayerNorm.*"}},
                {"layers.{N}.attn.qkv.*",
                 {layer + "attention.q_lin.*", layer + "attention.k_lin.*", layer + "attention.v_lin.*"},
                 Layout::qkv_rows},
                {"layers.{N}.attn.out.*", {layer + "attention.out_lin.*"}},
                {"layers.{N}.attn.post_norm.*", {layer + "sa_layer_norm.*"}},
                {"layers.{N}.ffn.up.*", {layer + "ffn.lin1.*"}},
                {"layers.{N}.ffn.down.*", {layer + "ffn.lin2.*"}},
                {"layers.{N}.ffn.post_norm.*", {layer + "output_layer_norm.*"}},
                {"mlm.dense.*", {"vocab_transform.*"}},
                {"mlm.norm.*", {"vocab_layer_norm.*"}},
                {"head.weight", {"vocab_projector.weight"}},
                {"head.bias", {"vocab_projector.bias"}}},
      .dropped = {{embeddings + "position_ids", "0, 1, 2, ...", ""},
                  {"vocab_projector.weight", "the tied head", embeddings + "word_embeddings.weight"}},
  };
}

}  // namespace models
