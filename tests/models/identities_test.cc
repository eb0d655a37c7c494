// Exact identities between placements, and gradients that symmetries force to zero. They hold for any
// weights, so a slot in the wrong place or a scale on the wrong side breaks them. Read first:
// docs/04-norms.md.
#include <catch2/catch.hpp>

#include "engine/ops/norm.h"
#include "largest_gap.h"
#include "models/init.h"
#include "models/model_gradcheck.h"
#include "tiny_training.h"

using namespace engine;
using namespace models;

namespace {

using Change = std::function<void(ModelConfig&)>;

struct Pair {
  const char *a, *b;
};

ModelConfig config_of(const std::string& norms, const Change& change = {}) {
  ModelConfig config = gradcheck_config(norms, Objective::clm);
  if (change) change(config);
  return checked(config);
}

std::unique_ptr<Transformer> model_of(const std::string& norms, const Change& change = {}) {
  auto model = std::make_unique<Transformer>(config_of(norms, change), nn::Precision::of(DType::f64));
  draw_generic_values(*model, 17);
  return model;
}

/// Gives `to` the values of `from` wherever both have the parameter, and the initial constants elsewhere.
void copy_values(const Transformer& from, Transformer& to) {
  initialise(to, "gpt2", 1);
  for (Parameter* p : to.parameters().all())
    if (const Parameter* source = from.parameters().find(p->name)) p->value.copy_from(source->value);
  to.parameters().refresh_copies();
}

std::vector<double> logits(const Transformer& model) {
  const TokenBatch batch = random_batch(model.config(), 2, 3);
  return model.logits(model.hidden(batch.tokens, model.context())).to_vector();
}

/// Two placements, the same weights (a's, extra ones of b at their initial constants): the same logits.
double gap_between(const std::string& a, const std::string& b) {
  const auto first = model_of(a);
  Transformer second(config_of(b), nn::Precision::of(DType::f64));
  copy_values(*first, second);
  return largest_gap(logits(*first), logits(second));
}

/// <p, dL/dp> over elements [begin, end), and the sum of absolute products beside it.
struct Product {
  double sum = 0, size = 0;
  void add(const Transformer& model, const std::string& name, int64_t begin = 0, int64_t end = -1) {
    const Parameter& p = model.parameters()[name];
    const std::vector<double> value = p.value.to_vector(), grad = p.grad.to_vector();
    for (int64_t i = begin; i < (end < 0 ? p.value.numel() : end); ++i) {
      sum += value[size_t(i)] * grad[size_t(i)];
      size += std::fabs(value[size_t(i)] * grad[size_t(i)]);
    }
  }
};

void differentiate(Transformer& model) {
  backward(model, random_batch(model.config(), 2, 3), model.context());
}

}  // namespace

TEST_CASE("identity: gains and residual scales at one change no bit") {
  CHECK(gap_between("attn{in=ln out=ln} ffn{in=ln mid=ln} final=ln", "normformer") == 0);
  CHECK(gap_between("normformer", "normformer+r") == 0);
  CHECK(gap_between("normformer", "normformer_res_both") == 0);
  CHECK(gap_between("attn{in=ln out=ln} ffn{in=ln mid=ln res=vector} final=ln", "normformer_outer") == 0);
  CHECK(gap_between("pre_ln", "attn{in=ln branch=vector} ffn{in=ln branch=shared} final=ln") == 0);
}

TEST_CASE("identity: placements that are special cases of others") {
  const Pair pairs[] = {
      {"pre_ln", "attn{in=ln} ffn{in=ln} final=ln; 0%..0%: attn{post=ln} ffn{post=ln}"},
      {"attn{post=ln} ffn{post=ln} final=ln",
       "attn{in=ln} ffn{in=ln} final=ln; 0%..100%: attn{post=ln} ffn{post=ln}"},
      {"post_ln", "attn{post=ln res=1} ffn{post=ln res=1}"},
      {"attn{post=ln res=1.5} ffn{post=ln res=1.5}",
       "attn{post=ln res=vector(1.5)} ffn{post=ln res=vector(1.5)}"},
  };
  for (const Pair& pair : pairs) {
    INFO(pair.a << "  against  " << pair.b);
    CHECK(gap_between(pair.a, pair.b) < 1e-12);
  }
  // and a true difference is seen
  CHECK(gap_between("post_ln", "attn{post=ln res=2} ffn{post=ln}") > 1e-3);
}

TEST_CASE("identity: a norm that reads another's output drops the residual scale of its neighbour") {
  // res = s and branch = s together scale the whole join, which the post norm removes (up to eps).
  const auto tiny_eps = [](const char* norms) {
    const auto model = model_of(norms, [](ModelConfig& c) { c.norm_eps = 1e-14; });
    return logits(*model);
  };
  CHECK(largest_gap(tiny_eps("attn{post=ln} ffn{post=ln}"),
                    tiny_eps("attn{post=ln res=3 branch=3} ffn{post=ln res=0.5 branch=0.5}")) < 1e-10);
}

TEST_CASE("identity: HybridNorm's Post-Norm is post-norm with a norm on the embeddings") {
  // Its code norms the branch input and takes the residual after that norm; the last post norm is its final.
  const auto shifted = model_of("attn{in=rms skip=norm} ffn{in=rms skip=norm} final=rms");
  Transformer post(config_of("post_rms"), nn::Precision::of(DType::f64));
  copy_values(*shifted, post);
  const int64_t layers = post.config().layers;
  const auto move = [&](const std::string& from, const std::string& to) {
    post.parameters()[to].value.copy_from(shifted->parameters()[from].value);
  };
  move("layers.0.attn.in_norm.weight", "embed.norm.weight");
  for (int64_t i = 0; i < layers; ++i) {
    const std::string layer = "layers." + std::to_string(i), next = "layers." + std::to_string(i + 1);
    move(layer + ".ffn.in_norm.weight", layer + ".attn.post_norm.weight");
    move(i + 1 < layers ? next + ".attn.in_norm.weight" : "final_norm.weight",
         layer + ".ffn.post_norm.weight");
  }
  CHECK(largest_gap(logits(*shifted), logits(post)) < 1e-12);
}

TEST_CASE("identity: ReZero starts as the identity stack") {
  const auto zero = [](const char* norms) {
    Transformer model(config_of(norms), nn::Precision::of(DType::f64));
    initialise(model, "gpt2", 5);
    return model.hidden(random_batch(model.config(), 2, 3).tokens, model.context()).to_vector();
  };
  Transformer model(config_of("rezero"), nn::Precision::of(DType::f64));
  initialise(model, "gpt2", 5);
  const TokenBatch batch = random_batch(model.config(), 2, 3);
  const std::vector<double> words = model.parameters()["embed.tokens.weight"].value.to_vector(),
                            places = model.parameters()["embed.positions.weight"].value.to_vector();
  const int64_t d = model.config().width, T = model.config().context;
  std::vector<double> expected;
  for (int64_t i = 0; i < batch.tokens.ids.numel(); ++i)
    for (int64_t c = 0; c < d; ++c)
      expected.push_back(words[size_t(batch.tokens.ids.data<int32_t>()[i] * d + c)] +
                         places[size_t(i % T * d + c)]);
  CHECK(largest_gap(zero("rezero"), expected) == 0);
  CHECK(largest_gap(zero("attn{} ffn{}"), expected) > 1e-6);
}

TEST_CASE("identity: Admin with one omega everywhere is DeepNorm with that alpha") {
  CHECK(gap_between("attn{post=ln res=1.75} ffn{post=ln res=1.75}",
                    "attn{post=ln res=vector(1.75)} ffn{post=ln res=vector(1.75)}") == 0);
}

TEST_CASE("identity: LN is RMS of the centred row") {
  Rng rng{3};
  const Shape shape = {5, 24};
  std::vector<double> x(120), centred(120);
  for (double& v : x) v = 2 + rng.normal();
  for (size_t row = 0; row < 5; ++row) {
    double mean = 0;
    for (size_t i = 0; i < 24; ++i) mean += x[row * 24 + i] / 24;
    for (size_t i = 0; i < 24; ++i) centred[row * 24 + i] = x[row * 24 + i] - mean;
  }
  const Tensor ones = Tensor::full({24}, 1, DType::f64);
  const Tensor ln = norm(Tensor::from(x, shape), {.kind = NormKind::ln, .weight = ones}, DType::f64);
  const Tensor rms = norm(Tensor::from(centred, shape), {.kind = NormKind::rms, .weight = ones}, DType::f64);
  CHECK(largest_gap(ln.to_vector(), rms.to_vector()) < 1e-13);
}

TEST_CASE("identity: a norm after attention makes the loss blind to the scale of the branch") {
  // eps would hide the identity a little: <theta, dL/dtheta> is of order eps / variance.
  const Change exact = [](ModelConfig& c) { c.norm_eps = 1e-14; };
  SECTION("outer head scale: sum of gain * gradient is zero, whatever the biases") {
    const auto model = model_of("normformer_outer", exact);
    differentiate(*model);
    for (int64_t i = 0; i < model->config().layers; ++i) {
      Product gain, projection;
      gain.add(*model, "layers." + std::to_string(i) + ".attn.head_gain");
      CHECK(std::fabs(gain.sum) < 1e-9 * gain.size);
      projection.add(*model, "layers." + std::to_string(i) + ".attn.out.weight");
      projection.add(*model, "layers." + std::to_string(i) + ".attn.out.bias");
      CHECK(std::fabs(projection.sum) < 1e-9 * projection.size);
    }
  }
  SECTION("inner head scale: the bias takes part") {
    const auto model = model_of("normformer", exact);
    differentiate(*model);
    for (int64_t i = 0; i < model->config().layers; ++i) {
      Product both, gain;
      gain.add(*model, "layers." + std::to_string(i) + ".attn.head_gain");
      both.add(*model, "layers." + std::to_string(i) + ".attn.head_gain");
      both.add(*model, "layers." + std::to_string(i) + ".attn.out.bias");
      CHECK(std::fabs(both.sum) < 1e-9 * both.size);
      CHECK(std::fabs(gain.sum) > 1e-6 * gain.size);  // alone it is not zero
    }
  }
}

TEST_CASE("identity: relu squared before a norm makes the loss blind to the scale of the first matrix") {
  for (const nn::Activation activation : {nn::Activation::relu, nn::Activation::relu2}) {
    const auto model =
        model_of("normformer", [&](ModelConfig& c) { c.norm_eps = 1e-14, c.activation = activation; });
    differentiate(*model);
    for (int64_t i = 0; i < model->config().layers; ++i) {
      Product up;
      up.add(*model, "layers." + std::to_string(i) + ".ffn.up.weight");
      up.add(*model, "layers." + std::to_string(i) + ".ffn.up.bias");
      CHECK(std::fabs(up.sum) < 1e-9 * up.size);
    }
  }
}

TEST_CASE("identity: HybridNorm is blind to the scale of each head's query, key and value matrices") {
  for (const char* norms : {"hybridnorm", "hybridnorm*"}) {
    const Change exact = [](ModelConfig& c) { c.norm_eps = 1e-14, c.bias.qkv = false; };
    const auto model = model_of(norms, exact);
    differentiate(*model);
    const ModelConfig& c = model->config();
    const int64_t blocks = c.heads + 2 * c.kv_heads, block = c.head_dim * c.width;
    for (int64_t layer = 0; layer < c.layers; ++layer)
      for (int64_t i = 0; i < blocks; ++i) {
        Product rows;
        rows.add(*model, "layers." + std::to_string(layer) + ".attn.qkv.weight", i * block, (i + 1) * block);
        CHECK(std::fabs(rows.sum) < 1e-9 * rows.size);
      }
    const std::vector<double> before = logits(*model);
    const Tensor qkv = model->parameters()["layers.1.attn.qkv.weight"].value;
    for (int64_t i = 0; i < block; ++i) qkv.data<double>()[i] *= 4;                           // a query head
    for (int64_t i = 0; i < block; ++i) qkv.data<double>()[(blocks - 1) * block + i] *= 0.5;  // a value head
    CHECK(largest_gap(logits(*model), before) < 1e-10);
  }
}

TEST_CASE("identity: the sandwich without its output norms is pre-norm") {
  CHECK(nn::parse_norm_spec("attn{in=ln} ffn{in=ln} final=ln") == config_of("pre_ln").norms);
  ModelConfig sandwich = config_of("sandwich");
  sandwich.norms.attn.out = sandwich.norms.ffn.out = {};
  CHECK(sandwich.norms == config_of("pre_ln").norms);
}
