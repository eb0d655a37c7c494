// A few AdamW steps of a small model on one batch, for tests that need a model that has moved.
#pragma once

#include <cmath>
#include <vector>

#include "engine/ops/elementwise.h"
#include "engine/ops/optimizer.h"
#include "models/init.h"
#include "models/token_file.h"
#include "models/transformer.h"

/// The summed loss of a batch, with the auxiliary losses of routers.
inline engine::Tensor summed_loss(const models::Transformer& model, const models::TokenBatch& batch,
                                  const nn::Context& context) {
  std::vector<engine::Tensor> auxiliary;
  const engine::Tensor hidden = model.hidden(batch.tokens, context, context.precision.stream, &auxiliary);
  engine::Tensor loss = model.loss(hidden, batch.labels);
  for (const engine::Tensor& term : auxiliary) loss = engine::add(loss, term);
  return loss;
}

/// Fills the gradients of every parameter and returns the summed loss.
inline double backward(models::Transformer& model, const models::TokenBatch& batch,
                       const nn::Context& context) {
  engine::Tape tape;
  model.parameters().clear_gradients();
  double value = 0;
  {
    const engine::TapeScope scope(tape);
    const engine::Tensor loss = summed_loss(model, batch, context);
    value = loss.item();
    tape.backward(loss);
  }
  model.parameters().complete_gradients();
  return value;
}

struct TrainSteps {
  int steps = 20;
  double lr = 1e-2;
};

/// The mean loss before each step. nGPT models go back to the sphere after each step.
inline std::vector<double> train_steps(models::Transformer& model, const models::TokenBatch& batch,
                                       const TrainSteps& options) {
  nn::Parameters& parameters = model.parameters();
  const int64_t n = parameters.values().numel();
  const engine::Tensor m = engine::Tensor::zeros({n}, parameters.values().dtype());
  const engine::Tensor v = engine::Tensor::zeros({n}, parameters.values().dtype());
  parameters.grads().fill(0);  // the arena's gaps between parameters too
  std::vector<double> losses;
  for (int step = 1; step <= options.steps; ++step) {
    losses.push_back(backward(model, batch, model.context()) / double(batch.scored));
    engine::adamw_step(parameters.values(), parameters.grads(), m, v,
                       {.lr = options.lr,
                        .beta1 = 0.9,
                        .beta2 = 0.95,
                        .step = step,
                        .gradient_factor = 1 / double(batch.scored)});
    parameters.refresh_copies();
    models::normalize_ngpt(model);
  }
  return losses;
}
