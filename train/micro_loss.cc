// Read first: micro_loss.h.
#include "train/micro_loss.h"

#include "engine/ops/elementwise.h"

namespace train {

using engine::Tensor;

double scored_share(const MicroBatch& batch) {
  return double(batch.scored) / double(batch.tokens.shape.numel());
}

MicroLoss micro_loss(const models::Transformer& model, const MicroBatch& batch, const UpdateOptions& options,
                     bool checkpointing, engine::Rng& rng, double scale,
                     const engine::ScalarsInMemory* memory) {
  nn::Context context = model.context();
  context.dropout = options.dropout;
  context.rng = &rng;
  context.checkpointing = checkpointing;
  std::vector<Tensor> auxiliary;
  const Tensor hidden = model.hidden(batch.tokens, context, context.precision.compute,
                                     options.auxiliary ? &auxiliary : nullptr);
  const Tensor nats = model.loss(hidden, batch.labels,
                                 {.loss_scale = scale,
                                  .vocabulary = options.vocabulary,
                                  .scale = memory,
                                  .dropout = options.head_dropout,
                                  .rng = &rng});
  // A language model's loss scales its gradients itself, where they are formed (engine/ops/loss.h).
  const auto times = [&](const Tensor& x, double factor, const Tensor& in_memory) {
    return memory ? engine::mul(x, engine::cast(in_memory, x.dtype())) : engine::affine(x, factor);
  };
  Tensor total = nats;
  if (model.config().objective == models::Objective::classify)
    total = times(nats, scale, memory ? memory->loss_scale() : Tensor());
  for (const Tensor& term : auxiliary)
    total = engine::add(
        total, times(term, scale * scored_share(batch), memory ? memory->auxiliary_scale() : Tensor()));
  return {nats.detach(), total};
}

}  // namespace train
