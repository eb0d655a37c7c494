// What one micro-batch's backward pass begins with. Read first: update.h.
#pragma once

#include "engine/ops/scalars_in_memory.h"
#include "train/update.h"

namespace train {

/// Summed over scored positions; `total` also has the loss scale, where the model's own loss does not take it
/// in, and auxiliary losses. Those are sums over all tokens: they are weighed by the share that is scored, so
/// that the mean that an update takes over scored positions is a mean over tokens for them.
struct MicroLoss {
  engine::Tensor nats, total;
};
/// The share of the batch's tokens that are scored.
double scored_share(const MicroBatch& batch);
/// `scale`: the loss scale, or, with `memory`, where it stands. `rng` must live until the loss has been
/// differentiated: checkpointed layers draw again.
MicroLoss micro_loss(const models::Transformer& model, const MicroBatch& batch, const UpdateOptions& options,
                     bool checkpointing, engine::Rng& rng, double scale,
                     const engine::ScalarsInMemory* memory = nullptr);

}  // namespace train
