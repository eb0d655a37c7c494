// Placements that nobody published: texts drawn from the grammar of NormSpec. Each must print and read back
// as it was, and make a model whose loss and gradients are numbers in f32 and near them in bf16.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/base/philox.h"
#include "models/forward.h"
#include "models/model_gradcheck.h"

using namespace engine;
using namespace models;

namespace {

/// Draws words of the grammar.
struct Draw {
  Rng rng;

  bool chance(double p) { return rng.uniform() < p; }
  std::string one_of(const std::vector<std::string>& words) { return words[rng.below(words.size())]; }
  std::string norm(const std::string& span = "") {
    const std::string kind = one_of({"ln", "rms", "dyt", "l2"});
    std::string options;
    if (kind == "dyt" && chance(0.3)) options = "(alpha=0.75)";
    if (kind != "dyt" && chance(0.3))
      options = kind == "ln" && chance(0.5) ? "(eps=1e-6,bias=0)" : "(eps=1e-4)";
    return kind + span + options;
  }
  std::string scale(bool shared_too) {
    std::string word = one_of({"vector", "scalar", "0.5", "-1.25", "1e-3", shared_too ? "shared" : "vector"});
    if (std::isalpha(word[0]) && word != "shared" && chance(0.4)) word += one_of({"(0.1)", "(0)", "(2)"});
    return word;
  }
  std::string slots(bool attention) {
    std::string text;
    const auto put = [&](const std::string& slot, const std::string& value, double p) {
      if (chance(p)) text += (text.empty() ? "" : " ") + slot + "=" + value;
    };
    for (const char* slot : {"in", "out", "post"}) put(slot, norm(), 0.4);
    if (attention)
      for (const char* slot : {"q", "k", "v", "ctx"}) put(slot, norm(one_of({".head", ".full"})), 0.3);
    if (attention) put("gain", one_of({"inner", "outer"}), 0.4);
    if (!attention) put("mid", norm(), 0.4);
    put("res", scale(false), 0.3);
    put("branch", scale(true), 0.3);
    put("skip", one_of({"raw", "norm"}), 0.3);
    return (attention ? "attn{" : "ffn{") + text + "}";
  }
  std::string spec() {
    std::string text = slots(true) + " " + slots(false);
    if (chance(0.3)) text += " embed=" + norm();
    const bool final = chance(0.7);
    if (final) text += " final=" + norm();
    if (chance(0.2)) text += " stream=" + (final ? one_of({"residual(0.5)", "b2t", "residual"}) : "b2t");
    if (chance(0.2)) text += " init=" + one_of({"fairseq", "bert", "gpt3", "megatron", "depth", "subln"});
    for (int rules = int(rng.below(3)); rules > 0; --rules)
      text += "; " + one_of({"0", "-1", "1..3", "0%..50%", "-2..-1", "50%..100%"}) + ": " +
              one_of({slots(true), slots(false), slots(true) + " " + slots(false)});
    return text;
  }
};

double loss_of(const ModelConfig& config, DType dtype, std::vector<double>& gradient_norms) {
  Transformer model(config, nn::Precision::of(dtype));
  draw_generic_values(model, 5);
  const ForwardResult result = run_forward(model, random_batch(config, 2, 9), WithGradients::yes);
  for (const auto& [name, gradient] : result.gradients) {
    double sum = 0;
    for (double g : gradient.to_vector()) sum += g * g;
    gradient_norms.push_back(std::sqrt(sum));
  }
  return result.loss;
}

}  // namespace

TEST_CASE("random placements: print, read back, run forward and backward", "[medium]") {
  const OneThread one;
  Draw draw{{2026}};
  int refused = 0;
  for (int i = 0; i < 400; ++i) {
    const std::string text = draw.spec();
    INFO(text);
    const nn::NormSpec spec = nn::parse_norm_spec(text);
    CHECK(nn::parse_norm_spec(print(spec)) == spec);
    CHECK(print(nn::parse_norm_spec(print(spec))) == print(spec));
    CHECK(nn::norm_spec_from_json(nn::to_json(spec)) == spec);

    ModelConfig config;
    try {
      config = gradcheck_config(text, i % 3 == 0 ? Objective::mlm : Objective::clm);
    } catch (const Error& error) {  // a shared scale that one sublayer of a layer starts elsewhere
      INFO(error.what());
      CHECK(std::string(error.what()).find('\n') == std::string::npos);
      ++refused;
      continue;
    }
    config.activation = nn::Activation(i % 9);
    if (i % 4 == 1)
      config.positions = nn::Positions::rope, config.heads = 6, config.kv_heads = 2, config.head_dim = 4;
    if (i % 4 == 2) config.positions = nn::Positions::none, config.bias = {false, false, false};
    if (i % 5 == 3) config.tied = false;
    config = checked(config);
    CHECK(model_config_from_json(to_json(config), "config") == config);

    std::vector<double> f32, bf16;
    const double wide = loss_of(config, DType::f32, f32), low = loss_of(config, DType::bf16, bf16);
    CHECK(std::isfinite(wide));
    CHECK(std::fabs(low - wide) <= 0.2 * std::max(1.0, wide));
    for (double norm : f32) CHECK(std::isfinite(norm));
    for (double norm : bf16) CHECK(std::isfinite(norm));
  }
  CHECK(refused < 40);
}
