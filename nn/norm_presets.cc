// The table of presets, and the HybridNorm ablation family, which follows one pattern. Read first:
// norm_presets.h.
#include "nn/norm_presets.h"

#include <charconv>
#include <cmath>

#include "engine/base/check.h"
#include "engine/base/text.h"

namespace nn {
namespace {

const char* const classic = "Post-norm and pre-norm";
const char* const normformer = "NormFormer and its ablations";
const char* const hybrid = "HybridNorm";
const char* const hybrid_ablations = "HybridNorm's ablations";
const char* const output = "Norms on the output of a branch";
const char* const depth = "Scaled residuals and branches";
const char* const streams = "Other residual streams";
const char* const kinds = "Other kinds of norm";

const char* const vaswani = "Vaswani et al. 2017, Attention Is All You Need, arXiv 1706.03762, section 3.1";
const char* const xiong =
    "Xiong et al. 2020, On Layer Normalization in the Transformer Architecture, arXiv 2002.04745";
const char* const shleifer = "Shleifer, Weston, Ott 2021, NormFormer, arXiv 2110.09456";
const char* const zhuo = "Zhuo et al. 2025, HybridNorm, arXiv 2503.04598";

const std::vector<NormPreset>& plain_presets() {
  static const std::vector<NormPreset> table = {
      {"post_ln",
       {"post_norm"},
       classic,
       vaswani,
       "y = LN(x + f(x))",  //
       "attn{post=ln} ffn{post=ln}",
       "",
       ""},
      {"pre_ln",
       {"pre_norm"},
       classic,
       xiong,
       "y = x + f(LN(x))",  //
       "attn{in=ln} ffn{in=ln} final=ln",
       "",
       ""},
      {"pre_rms",
       {"llama"},
       classic,
       "Zhang, Sennrich 2019, RMSNorm, arXiv 1910.07467; Touvron et al. 2023, LLaMA, arXiv 2302.13971",
       "y = x + f(RMS(x))",
       "attn{in=rms} ffn{in=rms} final=rms",
       "",
       ""},
      {"roberta",
       {"bert"},
       classic,
       "Devlin et al. 2018, BERT, arXiv 1810.04805; Liu et al. 2019, RoBERTa, arXiv 1907.11692",
       "x0 = LN(embeddings); y = LN(x + f(x))",
       "attn{post=ln} ffn{post=ln} embed=ln",
       "",
       ""},
      {"mix_ln",
       {},
       classic,
       "Li, Yin, Liu 2024, Mix-LN, arXiv 2412.13795",
       "the first quarter of the layers post-norm, the rest pre-norm",
       "attn{in=ln} ffn{in=ln} final=ln; 0%..25%: attn{post=ln} ffn{post=ln}",
       "",
       ""},

      {"normformer",
       {},
       normformer,
       shleifer,
       "y = x + LN(W_o [g_h head_h(LN(x))]); z = y + W_2 LN(act(W_1 LN(y)))",
       "attn{in=ln out=ln gain=inner} ffn{in=ln mid=ln} final=ln",
       "",
       ""},
      {"normformer+r",
       {"normformer_resscale"},
       normformer,
       std::string(shleifer) + ", section 2.1 (ResScale)",
       "as normformer, with z = r * y + W_2 LN(act(W_1 LN(y))), r a vector",
       "attn{in=ln out=ln gain=inner} ffn{in=ln mid=ln res=vector} final=ln",
       "",
       ""},
      {"normformer_outer",
       {"normformer_fairseq"},
       normformer,
       std::string(shleifer) + "; head scale where its released fairseq code has it",
       "as normformer+r, with g_h on channel block h after W_o and its bias",
       "attn{in=ln out=ln gain=outer} ffn{in=ln mid=ln res=vector} final=ln",
       "",
       ""},
      {"normformer_no_headscale",
       {},
       normformer,
       std::string(shleifer) + ", table 4",
       "normformer+r without head scale",
       "attn{in=ln out=ln} ffn{in=ln mid=ln res=vector} final=ln",
       "",
       ""},
      {"normformer_no_postattn",
       {},
       normformer,
       std::string(shleifer) + ", table 4",
       "normformer+r without the norm after attention",
       "attn{in=ln gain=inner} ffn{in=ln mid=ln res=vector} final=ln",
       "",
       ""},
      {"normformer_no_ffnln",
       {},
       normformer,
       std::string(shleifer) + ", table 4",
       "normformer+r without the norm inside the FFN",
       "attn{in=ln out=ln gain=inner} ffn{in=ln res=vector} final=ln",
       "",
       ""},
      {"normformer_no_resscale",
       {},
       normformer,
       std::string(shleifer) + ", table 4",
       "normformer+r without residual scale: normformer",
       "attn{in=ln out=ln gain=inner} ffn{in=ln mid=ln} final=ln",
       "",
       ""},
      {"normformer_3more_full",
       {"normformer_3more"},
       normformer,
       std::string(shleifer) + ", table 4 (+3 More LN; their width is not stated)",
       "normformer+r with LN over the full width of q, k and v",
       "attn{in=ln q=ln.full k=ln.full v=ln.full out=ln gain=inner} ffn{in=ln mid=ln res=vector} final=ln",
       "",
       ""},
      {"normformer_3more_head",
       {},
       normformer,
       std::string(shleifer) + ", table 4 (+3 More LN; their width is not stated)",
       "normformer+r with LN over each head of q, k and v",
       "attn{in=ln q=ln.head k=ln.head v=ln.head out=ln gain=inner} ffn{in=ln mid=ln res=vector} final=ln",
       "",
       ""},
      {"normformer_rms",
       {},
       normformer,
       std::string(shleifer) + ", section 4 (RMSNorm instead of LayerNorm)",
       "normformer with RMSNorm",
       "attn{in=rms out=rms gain=inner} ffn{in=rms mid=rms} final=rms",
       "",
       ""},
      {"normformer_geglu",
       {},
       normformer,
       std::string(shleifer) + ", section 4 (GEGLU instead of the FFN norm)",
       "normformer with gelu(W_g u) * (W_u u) in place of LN(act(W_1 u))",
       "attn{in=ln out=ln gain=inner} ffn{in=ln} final=ln",
       "geglu",
       ""},
      {"resscale_alone",
       {},
       normformer,
       std::string(shleifer) + ", section 4",
       "pre_ln with z = r * y + FFN(LN(y))",
       "attn{in=ln} ffn{in=ln res=vector} final=ln",
       "",
       ""},
      {"normformer_res_both",
       {},
       normformer,
       std::string(shleifer) + ", section 4 (ResScale on both residuals)",
       "normformer+r with y = r' * x + attention too",
       "attn{in=ln out=ln gain=inner res=vector} ffn{in=ln mid=ln res=vector} final=ln",
       "",
       ""},
      {"normformer_res_scalar",
       {},
       normformer,
       std::string(shleifer) + ", section 4 (scalar ResScale)",
       "normformer+r with r a scalar",
       "attn{in=ln out=ln gain=inner} ffn{in=ln mid=ln res=scalar} final=ln",
       "",
       ""},

      {"hybridnorm",
       {"qkv_post"},
       hybrid,
       std::string(zhuo) + ", equation 6",
       "Y = MHA_qkv-norm(X) + X; u = RMS(Y); X' = FFN(u) + u",
       "attn{q=rms.head k=rms.head v=rms.head post=rms} ffn{} final=rms",
       "",
       "megatron"},
      {"hybridnorm*",
       {"hybridnorm_star"},
       hybrid,
       std::string(zhuo) + ", section 3.3",
       "hybridnorm; layer 0: Y = MHA_qkv-norm(RMS(X)) + X; X' = FFN(RMS(Y)) + Y",
       "attn{q=rms.head k=rms.head v=rms.head post=rms} ffn{} final=rms; 0: attn{in=rms q=rms.head "
       "k=rms.head v=rms.head} ffn{in=rms}",
       "",
       "megatron"},
      {"hybridnorm_embed",
       {},
       hybrid_ablations,
       std::string(zhuo) + ", first-block study (EmbedNorm)",
       "hybridnorm with a norm on the embeddings",
       "attn{q=rms.head k=rms.head v=rms.head post=rms} ffn{} embed=rms final=rms",
       "",
       "megatron"},
      {"hybridnorm_first_qkv_pre",
       {},
       hybrid_ablations,
       std::string(zhuo) + ", first-block study (First-QKV-Pre)",
       "hybridnorm; layer 0: Y = MHA_qkv-norm(X) + X; X' = FFN(RMS(Y)) + Y",
       "attn{q=rms.head k=rms.head v=rms.head post=rms} ffn{} final=rms; 0: attn{q=rms.head k=rms.head "
       "v=rms.head} ffn{in=rms}",
       "",
       "megatron"},
      {"post_rms",
       {},
       hybrid_ablations,
       std::string(zhuo) + ", table 6 (Post-Norm)",
       "x0 = RMS(embeddings); y = RMS(x + f(x))",
       "attn{post=rms} ffn{post=rms} embed=rms",
       "",
       "megatron"},
      {"pre_post",
       {},
       hybrid_ablations,
       std::string(zhuo) + ", table 13 (Pre-Post)",
       "Y = MHA(RMS(X)) + X; u = RMS(Y); X' = FFN(u) + u",
       "attn{in=rms post=rms} ffn{} final=rms",
       "",
       "megatron"},
      {"post_pre",
       {},
       hybrid_ablations,
       std::string(zhuo) + ", table 13 (Post-Pre)",
       "u = RMS(X); Y = MHA(u) + u; X' = FFN(RMS(Y)) + Y",
       "attn{in=rms skip=norm} ffn{in=rms} final=rms",
       "",
       "megatron"},

      {"sandwich",
       {"sandwich_ln"},
       output,
       "Ding et al. 2021, CogView, arXiv 2105.13290, section 2.4",
       "y = x + LN(f(LN(x)))",
       "attn{in=ln out=ln} ffn{in=ln out=ln} final=ln",
       "",
       ""},
      {"peri_ln",
       {},
       output,
       "Kim et al. 2025, Peri-LN, arXiv 2502.02732",
       "x0 = RMS(embeddings); y = x + RMS(f(RMS(x)))",
       "attn{in=rms out=rms} ffn{in=rms out=rms} embed=rms final=rms",
       "",
       ""},
      {"gemma2",
       {},
       output,
       "Gemma Team 2024, Gemma 2, arXiv 2408.00118",
       "y = x + RMS(f(RMS(x)))",
       "attn{in=rms(eps=1e-6) out=rms(eps=1e-6)} ffn{in=rms(eps=1e-6) out=rms(eps=1e-6)} final=rms(eps=1e-6)",
       "",
       ""},
      {"olmo2",
       {},
       output,
       "OLMo Team 2025, 2 OLMo 2 Furious, arXiv 2501.00656",
       "y = x + RMS(f(x)), with RMS over the full width of q and k",
       "attn{q=rms.full k=rms.full out=rms} ffn{out=rms} final=rms",
       "",
       ""},
      {"sub_ln",
       {"magneto"},
       output,
       "Wang et al. 2022, Magneto (Foundation Transformers), arXiv 2210.06423",
       "pre_ln with LN before W_o and before W_2",
       "attn{in=ln ctx=ln.full} ffn{in=ln mid=ln} final=ln",
       "",
       "subln"},

      {"deepnorm",
       {},
       depth,
       "Wang et al. 2022, DeepNet, arXiv 2203.00555",
       "y = LN(a x + f(x)), a = (2L)^(1/4)",
       "attn{post=ln res=@deepnorm_alpha} ffn{post=ln res=@deepnorm_alpha}",
       "",
       "deepnorm"},
      {"admin",
       {},
       depth,
       "Liu et al. 2020, Understanding the Difficulty of Training Transformers, arXiv 2004.08249",
       "y = LN(w * x + f(x)), w a vector set by a profiling pass",
       "attn{post=ln res=vector} ffn{post=ln res=vector}",
       "",
       "admin"},
      {"layerscale",
       {},
       depth,
       "Touvron et al. 2021, Going deeper with Image Transformers (CaiT), arXiv 2103.17239",
       "y = x + s * f(LN(x)), s a vector that starts at 0.1 (to 18 layers), 1e-5 (to 24) or 1e-6",
       "attn{in=ln branch=vector(@layerscale)} ffn{in=ln branch=vector(@layerscale)} final=ln",
       "",
       ""},
      {"rezero",
       {},
       depth,
       "Bachlechner et al. 2020, ReZero is All You Need, arXiv 2003.04887",
       "y = x + s f(x), one scalar s a layer that starts at 0, no norms",
       "attn{branch=shared(0)} ffn{branch=shared(0)}",
       "",
       ""},

      {"residual",
       {"residual_two_streams"},
       streams,
       "Xie et al. 2023, ResiDual, arXiv 2304.14802",
       "b = f(A); B <- B + c b; A <- LN(A + b); output A + LN(B)",
       "attn{post=ln} ffn{post=ln} final=ln stream=residual",
       "",
       ""},
      {"b2t",
       {},
       streams,
       "Takase et al. 2022, B2T Connection, arXiv 2206.00330",
       "y = LN(x + attn(x)); z = LN(x + y + FFN(y))",
       "attn{post=ln} ffn{post=ln} stream=b2t",
       "",
       ""},
      {"ngpt",
       {},
       streams,
       "Loshchilov et al. 2024, nGPT, arXiv 2410.01131",
       "h <- unit(h + |a| * (unit(f(h)) - h)); weights on the sphere",
       "attn{} ffn{} stream=ngpt",
       "swiglu",
       ""},

      {"qk_norm",
       {"qk_ln"},
       kinds,
       "Dehghani et al. 2023, Scaling Vision Transformers to 22 Billion Parameters, arXiv 2302.05442",
       "pre_ln with LN over each head of q and k",
       "attn{in=ln q=ln.head k=ln.head} ffn{in=ln} final=ln",
       "",
       ""},
      {"l2_qk",
       {"qk_l2"},
       kinds,
       "Henry et al. 2020, Query-Key Normalization for Transformers, arXiv 2010.04245",
       "pre_ln with q / |q| and k / |k| times a learned gain",
       "attn{in=ln q=l2.head k=l2.head} ffn{in=ln} final=ln",
       "",
       ""},
      {"dyt",
       {},
       kinds,
       "Zhu et al. 2025, Transformers without Normalization, arXiv 2503.10622",
       "pre_ln with g * tanh(a x) + b for LN",
       "attn{in=dyt} ffn{in=dyt} final=dyt",
       "",
       ""},
  };
  return table;
}

/// The rows (set)_post, (set)_pre, pre_(set)_post and pre_(set)_pre for every set of normed projections; c is
/// ctx.
void add_hybridnorm_family(std::vector<NormPreset>& table) {
  struct Form {
    const char *before, *after, *in, *post, *ffn, *formula;
  };
  const Form forms[] = {
      {"", "_post", "", " post=rms", "ffn{}", "Y = MHA_#-norm(X) + X; u = RMS(Y); X' = FFN(u) + u"},
      {"", "_pre", "", "", "ffn{in=rms}", "Y = MHA_#-norm(X) + X; X' = FFN(RMS(Y)) + Y"},
      {"pre_", "_post", "in=rms ", " post=rms", "ffn{}",
       "Y = MHA_#-norm(RMS(X)) + X; u = RMS(Y); X' = FFN(u) + u"},
      {"pre_", "_pre", "in=rms ", "", "ffn{in=rms}", "Y = MHA_#-norm(RMS(X)) + X; X' = FFN(RMS(Y)) + Y"},
  };
  for (const Form& form : forms) {
    for (const std::string set : {"qkvc", "qkv", "qkc", "qk", "kv", "kc"}) {
      const std::string name = form.before + set + form.after;
      if (name == "qkv_post") continue;  // hybridnorm itself
      std::string slots, formula = form.formula;
      for (char c : set)
        slots +=
            (slots.empty() ? "" : " ") + (c == 'c' ? std::string("ctx") : std::string(1, c)) + "=rms.head";
      formula.replace(formula.find('#'), 1, set);
      table.push_back({name,
                       {},
                       hybrid_ablations,
                       std::string(zhuo) + ", table 13",
                       formula,
                       "attn{" + std::string(form.in) + slots + form.post + "} " + form.ffn + " final=rms",
                       "",
                       "megatron"});
    }
  }
}

std::string number(double value) {
  char digits[40];
  return std::string(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at; (at = text.find(from)) != std::string::npos;) text.replace(at, from.size(), to);
}

}  // namespace

double deepnorm_alpha(int64_t layers) { return std::pow(2.0 * double(layers), 0.25); }
double layerscale_epsilon(int64_t layers) { return layers <= 18 ? 0.1 : layers <= 24 ? 1e-5 : 1e-6; }

const std::vector<NormPreset>& norm_presets() {
  static const std::vector<NormPreset> table = [] {
    std::vector<NormPreset> all = plain_presets();
    add_hybridnorm_family(all);
    return all;
  }();
  return table;
}

const NormPreset* find_norm_preset(const std::string& name) {
  for (const NormPreset& preset : norm_presets()) {
    if (preset.name == name) return &preset;
    for (const std::string& alias : preset.aliases)
      if (alias == name) return &preset;
  }
  return nullptr;
}

NormSpec expand(const NormPreset& preset, const PresetSizes& sizes) {
  std::string text = preset.text;
  replace_all(text, "@deepnorm_alpha", number(deepnorm_alpha(sizes.layers)));
  replace_all(text, "@layerscale", number(layerscale_epsilon(sizes.layers)));
  return parse_norm_spec(text);
}

NamedNorms read_norms(const std::string& text, const PresetSizes& sizes) {
  if (const NormPreset* preset = find_norm_preset(text)) return {expand(*preset, sizes), preset};
  const bool word =
      !text.empty() && text.size() <= 64 && text.find_first_of("{}=;: \t\n") == std::string::npos;
  if (word) {
    std::vector<std::string> names;
    for (const NormPreset& preset : norm_presets()) {
      names.push_back(preset.name);
      names.insert(names.end(), preset.aliases.begin(), preset.aliases.end());
    }
    engine::fail("norms: unknown preset \"", text, "\" (nearest valid: \"", engine::nearest_word(text, names),
                 "\"; or write NormSpec text such as attn{in=ln} ffn{in=ln} final=ln)");
  }
  return {parse_norm_spec(text), nullptr};
}

}  // namespace nn
