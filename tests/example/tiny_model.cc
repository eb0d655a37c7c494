// A tiny language model from nothing: a NormSpec as text, 200 AdamW steps on a made-up language, its loss.
#include <cmath>
#include <cstdio>

#include "engine/base/philox.h"
#include "engine/ops/optimizer.h"
#include "models/init.h"
#include "models/transformer.h"

using namespace engine;

// Rows of a language in which four of five tokens follow from the one before.
models::Tokens make_batch(Rng& rng, int64_t rows, int64_t length, int64_t vocabulary, Tensor& labels) {
  std::vector<int32_t> ids, next;
  for (int64_t r = 0; r < rows; ++r) {
    int32_t token = int32_t(rng.below(uint64_t(vocabulary)));
    for (int64_t t = 0; t < length; ++t) {
      ids.push_back(token);
      token = rng.uniform() < 0.8 ? int32_t((token * 5 + 3) % vocabulary) : int32_t(rng.below(uint64_t(vocabulary)));
      next.push_back(token);
    }
  }
  labels = Tensor::from_ids(next, {rows, length});
  models::Tokens tokens;
  tokens.ids = Tensor::from_ids(ids, {rows, length});
  return tokens;
}

int main() {
  models::ModelConfig config;
  config.vocab_size = 16, config.context = 16, config.layers = 2, config.width = 32, config.heads = 2;
  config.ffn_width = 64, config.positions = nn::Positions::rope;
  models::set_norms(config, "attn{in=ln out=ln gain=inner} ffn{in=ln mid=ln} final=ln");  // NormFormer
  models::Transformer model(models::checked(config), nn::Precision::of(DType::f32), nn::Gradients::allocated);
  models::initialise(model, "", 1);

  nn::Parameters& p = model.parameters();
  const Tensor m = Tensor::zeros({p.values().numel()}, DType::f32), v = Tensor::zeros({p.values().numel()}, DType::f32);
  p.grads().fill(0);
  Rng rng{1, 0};
  double loss = 0, first = 0;
  for (int step = 1; step <= 200; ++step) {
    Tensor labels;
    const models::Tokens tokens = make_batch(rng, 8, 16, config.vocab_size, labels);
    Tape tape;
    p.clear_gradients();
    {
      const TapeScope scope(tape);
      const Tensor sum = model.loss(model.hidden(tokens, model.context()), labels);
      loss = sum.item() / (8 * 16);
      tape.backward(sum);
    }
    p.complete_gradients();
    adamw_step(p.values(), p.grads(), m, v, {.lr = 1e-2, .step = step, .gradient_factor = 1.0 / (8 * 16)});
    p.refresh_copies();
    if (step == 1) first = loss;
  }
  std::printf("loss %.3f at first, %.3f after 200 steps (chance %.3f)\n", first, loss, std::log(16.0));
  return loss < 1.6 ? 0 : 1;
}
