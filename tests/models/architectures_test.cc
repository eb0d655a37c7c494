// What models can be beside their placement: experts, adaptive softmax, classifiers, grouped heads, caps,
// untied heads; and what a run may change without changing its gradients: checkpointing, dropout's seed,
// padding. Read first: models/model_gradcheck.h.
#include <catch2/catch.hpp>

#include "models/adaptive.h"
#include "models/forward.h"
#include "models/init.h"
#include "models/model_gradcheck.h"
#include "nn/norm_presets.h"
#include "tiny_training.h"

using namespace engine;
using namespace models;

namespace {

struct Variant {
  const char* name;
  Objective objective;
  void (*change)(ModelConfig&);
};

const Variant variants[] = {
    {"experts", Objective::clm,
     [](ModelConfig& c) {
       c.experts = 4, c.experts_per_token = 2, c.bias = {false, false, false};
     }},
    {"experts, gated and renormalised", Objective::mlm,
     [](ModelConfig& c) {
       c.experts = 5, c.experts_per_token = 3, c.router_normalize = true;
       c.activation = nn::Activation::swiglu;
     }},
    {"adaptive", Objective::clm,
     [](ModelConfig& c) {
       c.width = 16, c.heads = 4, c.adaptive = Adaptive{{7, 15}, 2};
     }},
    {"classifier", Objective::classify, [](ModelConfig& c) { c.classes = 3; }},
    {"regression", Objective::classify, [](ModelConfig& c) { c.classes = 1; }},
    {"grouped heads, rope", Objective::clm,
     [](ModelConfig& c) { c.heads = 6, c.kv_heads = 2, c.head_dim = 2, c.positions = nn::Positions::rope; }},
    {"soft caps", Objective::clm,
     [](ModelConfig& c) { c.attn_softcap = 2, c.logit_softcap = 3, c.attn_scale = 0.7; }},
    {"untied head, gain offset", Objective::clm, [](ModelConfig& c) { c.tied = false, c.gain_offset = 1; }},
    {"untied masked head", Objective::mlm, [](ModelConfig& c) { c.tied = false; }},
    {"sinusoidal, scaled, no biases", Objective::clm,
     [](ModelConfig& c) {
       c.positions = nn::Positions::sinusoidal, c.position_offset = 2, c.embed_scale = 3;
       c.bias = {false, false, false};
     }},
    {"relu2, no positions", Objective::clm,
     [](ModelConfig& c) { c.activation = nn::Activation::relu2, c.positions = nn::Positions::none; }},
    {"parallel branches", Objective::clm,
     [](ModelConfig& c) {
       c.norms = nn::parse_norm_spec("attn{in=ln out=rms gain=inner} ffn{in=ln mid=ln branch=vector} final=ln "
                                     "stream=parallel");
     }},
    {"part of each head turns, by stretched angles", Objective::clm,
     [](ModelConfig& c) {
       c.positions = nn::Positions::rope, c.rope_width = 2;
       c.rope_scaling = RopeScaling{.kind = RopeKind::yarn, .factor = 4, .original_context = 8};
     }},
    {"reglu", Objective::clm, [](ModelConfig& c) { c.activation = nn::Activation::reglu; }},
    {"geglu_tanh", Objective::mlm, [](ModelConfig& c) { c.activation = nn::Activation::geglu_tanh; }},
};

ModelConfig config_of(const Variant& variant, const char* norms = "pre_ln") {
  ModelConfig config = gradcheck_config(norms, variant.objective);
  config.kv_heads = config.head_dim = config.rope_width = 0;
  variant.change(config);
  return checked(config);
}

std::vector<double> all_gradients(const Transformer& model) { return model.parameters().grads().to_vector(); }

}  // namespace

TEST_CASE("architectures: whole-model gradients against finite differences", "[medium]") {
  for (const Variant& variant : variants) {
    const GradcheckResult result = gradcheck_model(config_of(variant));
    INFO(variant.name << "\n" << result.text);
    CHECK(result.ok);
  }
}

TEST_CASE("architectures: twenty AdamW steps on one batch lower the loss", "[medium]") {
  const OneThread one;
  for (const Variant& variant : variants) {
    INFO(variant.name);
    Transformer model(config_of(variant), nn::Precision::of(DType::f32));
    initialise(model, "", 3);
    TokenBatch batch = random_batch(model.config(), 4, 5);
    if (variant.objective == Objective::classify && model.config().classes == 1)
      batch.labels = Tensor::from(batch.labels.to_vector(), batch.labels.shape(), DType::f32);
    const std::vector<double> losses = train_steps(model, batch, {.steps = 20, .lr = 5e-3});
    for (const double loss : losses) CHECK(std::isfinite(loss));
    CHECK(losses.back() < losses.front());
  }
}

TEST_CASE("a wrong backward anywhere fails the whole-model check") {
  for (const char* node : {"linear", "norm", "attention", "head_scale"}) {
    const BackwardMutation mutation(node, 1.01);
    INFO(node);
    CHECK_FALSE(gradcheck_model(gradcheck_config("normformer+r", Objective::clm)).ok);
  }
}

TEST_CASE("adaptive softmax: the loss is that of the log-probabilities, which sum to one") {
  const OneThread one;
  Transformer model(config_of(variants[2]), nn::Precision::of(DType::f64));
  draw_generic_values(model, 4);
  const TokenBatch batch = random_batch(model.config(), 3, 9);
  const Tensor hidden = model.hidden(batch.tokens, model.context());
  const Tensor logp = adaptive_log_probabilities(model.config(), model.parameters(), hidden);
  const int64_t V = model.config().vocab_size;
  REQUIRE(logp.size(-1) == V);
  const std::vector<double> p = logp.to_vector();
  double expected = 0;
  for (int64_t i = 0; i < batch.labels.numel(); ++i) {
    double total = 0;
    for (int64_t v = 0; v < V; ++v) total += std::exp(p[size_t(i * V + v)]);
    CHECK(total == Approx(1).epsilon(1e-12));
    const int32_t label = batch.labels.data<int32_t>()[i];
    if (label >= 0) expected -= p[size_t(i * V + label)];
  }
  CHECK(model.loss(hidden, batch.labels).item() == Approx(expected).epsilon(1e-12));
}

TEST_CASE("checkpointing gives the same gradients bit for bit, with and without dropout", "[medium]") {
  const OneThread one;
  for (const nn::NormPreset& preset : nn::norm_presets()) {
    for (const double p : {0.0, 0.2}) {
      INFO(preset.name << " dropout " << p);
      Transformer model(gradcheck_config(preset.name, Objective::mlm), nn::Precision::of(DType::f32));
      draw_generic_values(model, 6);
      const TokenBatch batch = random_batch(model.config(), 3, 8);
      const auto run = [&](bool checkpointing) {
        Rng rng{42};
        nn::Context context = model.context();
        context.dropout = {p, p, p};
        context.rng = &rng;
        context.checkpointing = checkpointing;
        model.parameters().grads().fill(0);
        const double loss = backward(model, batch, context);
        return std::pair(loss, all_gradients(model));
      };
      const auto plain = run(false), again = run(true);
      CHECK(plain.first == again.first);
      CHECK(plain.second == again.second);
    }
  }
}

TEST_CASE("routers keep their auxiliary losses and gradients in a checkpointed layer") {
  const OneThread one;
  ModelConfig config = gradcheck_config("pre_rms", Objective::clm);
  config.experts = 3, config.experts_per_token = 2, config.bias = {false, false, false};
  Transformer model(config, nn::Precision::of(DType::f32));
  draw_generic_values(model, 6);
  const TokenBatch batch = random_batch(model.config(), 3, 8);
  const auto run = [&](bool checkpointing) {
    nn::Context context = model.context();
    context.checkpointing = checkpointing;
    model.parameters().clear_gradients();
    Tape tape;
    std::vector<double> values;
    // The scope of the layers ends before backward, as it does in the trainer.
    const Tensor total = [&] {
      const TapeScope scope(tape);
      std::vector<Tensor> auxiliary;
      const Tensor hidden = model.hidden(batch.tokens, context, context.precision.compute, &auxiliary);
      Tensor sum = model.loss(hidden, batch.labels);
      for (const Tensor& term : auxiliary) values.push_back(term.item()), sum = add(sum, affine(term, 50));
      return sum;
    }();
    CHECK(values.size() == size_t(2 * config.layers));
    tape.backward(total);
    model.parameters().complete_gradients();
    return std::pair(values, all_gradients(model));
  };
  const auto plain = run(false), again = run(true);
  CHECK(plain.first == again.first);
  CHECK(plain.second == again.second);
}

TEST_CASE("dropout is a function of the seed") {
  const OneThread one;
  Transformer model(gradcheck_config("normformer", Objective::clm), nn::Precision::of(DType::f32));
  draw_generic_values(model, 6);
  const TokenBatch batch = random_batch(model.config(), 3, 8);
  const auto loss = [&](uint64_t seed, nn::Dropout dropout) {
    Rng rng{seed};
    nn::Context context = model.context();
    context.dropout = dropout;
    context.rng = &rng;
    return summed_loss(model, batch, context).item();
  };
  for (const nn::Dropout dropout :
       {nn::Dropout{.residual = 0.3}, nn::Dropout{.attention = 0.3}, nn::Dropout{.activation = 0.3}}) {
    CHECK(loss(1, dropout) == loss(1, dropout));
    CHECK(loss(1, dropout) != loss(2, dropout));
    CHECK(loss(1, dropout) != loss(1, {}));
  }
}

TEST_CASE("padded keys: what stands in padding changes nothing that is scored") {
  const OneThread one;
  for (const char* norms : {"pre_ln", "hybridnorm*", "ngpt", "residual", "b2t",
                            "attn{in=ln} ffn{in=ln} final=ln stream=parallel"}) {
    INFO(norms);
    Transformer model(gradcheck_config(norms, Objective::mlm), nn::Precision::of(DType::f64));
    draw_generic_values(model, 6);
    TokenBatch batch = random_batch(model.config(), 3, 8);
    const double loss = backward(model, batch, model.context());
    const std::vector<double> gradients = all_gradients(model);
    for (int64_t i = 0; i < batch.tokens.ids.numel(); ++i)
      if (!batch.tokens.key_mask.data<uint8_t>()[i]) {
        int32_t& id = batch.tokens.ids.data<int32_t>()[i];
        id = (id + 5) % int32_t(model.config().vocab_size);
      }
    CHECK(backward(model, batch, model.context()) == loss);
    CHECK(all_gradients(model) == gradients);
  }
}

TEST_CASE("the last row's padding: a row shortened by its mask scores like a short row") {
  const OneThread one;
  Transformer model(gradcheck_config("normformer", Objective::mlm), nn::Precision::of(DType::f64));
  draw_generic_values(model, 2);
  const Json padded = {{"input_ids", {{3, 4, 5, 6, 1, 1}}},
                       {"attention_mask", {{1, 1, 1, 1, 0, 0}}},
                       {"labels", {{-100, 7, -100, 8, -100, -100}}}};
  const Json cut = {{"input_ids", {{3, 4, 5, 6}}}, {"labels", {{-100, 7, -100, 8}}}};
  const auto loss = [&](const Json& json) {
    return run_forward(model, token_batch(json, model.config(), "test"), WithGradients::no).loss;
  };
  CHECK(loss(padded) == Approx(loss(cut)).epsilon(1e-13));
}
