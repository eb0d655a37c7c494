// Read first: micro_loss.h.
#include "train/micro_loss.h"

#include "engine/ops/elementwise.h"

namespace train {

using engine::Tensor;

MicroLoss micro_loss(const models::Transformer& model, const MicroBatch& batch, const UpdateOptions& options,
                     bool checkpointing, engine::Rng& rng, double scale,
                     const engine::ScalarsInMemory* memory) {
  nn::Context context = model.context();
  context.dropout = options.dropout;
  context.rng = &rng;
  context.checkpointing = checkpointing;
  const auto scaled = [&](const Tensor& x) {
    return memory ? engine::mul(x, engine::cast(memory->loss_scale(), x.dtype())) : engine::affine(x, scale);
  };
  std::vector<Tensor> auxiliary;
  const Tensor hidden = model.hidden(batch.tokens, context, context.precision.compute, &auxiliary);
  const Tensor nats = model.loss(hidden, batch.labels,
                                 {.loss_scale = scale,
                                  .vocabulary = options.vocabulary,
                                  .scale = memory,
                                  .dropout = options.head_dropout,
                                  .rng = &rng});
  // A language model's loss scales its gradients itself, where they are formed (engine/ops/loss.h).
  Tensor total = model.config().objective == models::Objective::classify ? scaled(nats) : nats;
  for (const Tensor& term : auxiliary) total = engine::add(total, scaled(term));
  return {nats.detach(), total};
}

}  // namespace train
