// The table of sizes. Read first: size_presets.h.
#include "models/size_presets.h"

#include <cmath>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace models {
namespace {

using nn::Activation;
using nn::Positions;

const char* const gpt_source =
    "sizes of Brown et al. 2020, arXiv 2005.14165, as trained by Shleifer et al. 2021, arXiv 2110.09456: "
    "vocabulary 51200 gives its "
    "parameter counts";
const char* const hybrid_source =
    "Zhuo et al. 2025, HybridNorm, arXiv 2503.04598, and its released configurations; vocabulary 100278 "
    "padded to 100352";
const char* const cpu_source = "sized for a CPU";

ModelConfig sizes(int64_t layers, int64_t width, int64_t heads, int64_t ffn_width, int64_t vocab_size,
                  int64_t context) {
  ModelConfig c;
  c.layers = layers, c.width = width, c.heads = heads, c.ffn_width = ffn_width;
  c.vocab_size = vocab_size, c.context = context;
  return c;
}

/// fairseq's language model: sinusoidal positions from 2, embeddings times sqrt(width).
ModelConfig fairseq_gpt(int64_t layers, int64_t width, int64_t heads) {
  ModelConfig c = sizes(layers, width, heads, 4 * width, 51200, 2048);
  c.positions = Positions::sinusoidal;
  c.position_offset = 2;
  c.embed_scale = std::sqrt(double(width));
  return c;
}

/// OLMo-like: RoPE, SwiGLU, no biases, grouped heads.
ModelConfig hybridnorm(int64_t layers, int64_t width, int64_t heads, int64_t kv_heads, int64_t ffn_width) {
  ModelConfig c = sizes(layers, width, heads, ffn_width, 100352, 4096);
  c.kv_heads = kv_heads;
  c.activation = Activation::swiglu;
  c.positions = Positions::rope;
  c.rope_theta = 5e5;
  c.bias = {false, false, false};
  return c;
}

ModelConfig moe_1b_7b() {
  ModelConfig c = hybridnorm(16, 2048, 16, 16, 1024);
  c.vocab_size = 50304;
  c.rope_theta = 1e4;
  c.tied = false;
  c.experts = 64;
  c.experts_per_token = 8;
  return c;
}

ModelConfig roberta_base() {
  ModelConfig c = sizes(12, 768, 12, 3072, 51200, 512);
  c.objective = Objective::mlm;
  c.position_offset = 2;
  return c;
}

ModelConfig wikitext103_base() {
  ModelConfig c = fairseq_gpt(16, 1024, 8);
  c.vocab_size = 267744;
  c.context = 3072;
  c.activation = Activation::relu;
  c.adaptive = Adaptive{{20000, 60000}, 4};
  return c;
}

ModelConfig masked(ModelConfig c) {
  c.objective = Objective::mlm;
  return c;
}

}  // namespace

const std::vector<SizePreset>& size_presets() {
  static const std::vector<SizePreset> table = {
      {"gpt-125m", gpt_source, "pre_ln", fairseq_gpt(12, 768, 12)},
      {"gpt-355m", gpt_source, "pre_ln", fairseq_gpt(24, 1024, 16)},
      {"gpt-1.3b", gpt_source, "pre_ln", fairseq_gpt(24, 2048, 32)},
      {"gpt-2.7b", gpt_source, "pre_ln", fairseq_gpt(32, 2560, 32)},
      {"roberta-base",
       "Liu et al. 2019, RoBERTa, arXiv 1907.11692, pre-norm as Shleifer et al. 2021 trained it (RoBERTa's "
       "own: vocabulary 50265, norms "
       "roberta)",
       "pre_ln", roberta_base()},
      {"wikitext103-base",
       "Baevski, Auli 2019, Adaptive Input Representations, arXiv 1809.10853, 8 heads as released; no final "
       "norm",
       "attn{in=ln} ffn{in=ln}", wikitext103_base()},
      {"hybridnorm-151m", hybrid_source, "hybridnorm", hybridnorm(12, 768, 16, 4, 2048)},
      {"hybridnorm-285m", hybrid_source, "hybridnorm", hybridnorm(12, 1024, 16, 4, 4096)},
      {"hybridnorm-550m", hybrid_source, "hybridnorm", hybridnorm(16, 1536, 16, 4, 4096)},
      {"hybridnorm-543m-deep", hybrid_source, "hybridnorm", hybridnorm(29, 1024, 16, 4, 4096)},
      {"hybridnorm-1.2b", hybrid_source, "hybridnorm", hybridnorm(16, 2048, 32, 8, 8192)},
      {"moe-1b-7b",
       "OLMoE's sizes (Muennighoff et al. 2024, arXiv 2409.02060) as Zhuo et al. 2025, arXiv 2503.04598, "
       "trained them",
       "hybridnorm*", moe_1b_7b()},
      {"char-clm", cpu_source, "normformer", sizes(4, 128, 4, 512, 256, 64)},
      {"char-mlm", cpu_source, "normformer", masked(sizes(4, 128, 4, 512, 256, 64))},
      {"tiny-clm", cpu_source, "normformer", sizes(6, 256, 8, 1024, 8192, 256)},
      {"tiny-mlm", cpu_source, "normformer", masked(sizes(6, 256, 8, 1024, 8192, 256))},
      {"mini-clm", cpu_source, "normformer", sizes(8, 384, 6, 1536, 16384, 512)},
      {"mini-mlm", cpu_source, "normformer", masked(sizes(8, 384, 6, 1536, 16384, 512))},
  };
  return table;
}

const SizePreset& find_size_preset(const std::string& name) {
  std::vector<std::string> names;
  for (const SizePreset& preset : size_presets()) {
    if (preset.name == name) return preset;
    names.push_back(preset.name);
  }
  engine::fail("unknown model preset \"", name.substr(0, 40), "\"", engine::near_hint(name, names),
               "; `normlab presets` lists them");
}

ModelConfig model_preset(const std::string& name) {
  const SizePreset& preset = find_size_preset(name);
  ModelConfig config = preset.config;
  set_norms(config, preset.norms);
  return checked(config);
}

}  // namespace models
