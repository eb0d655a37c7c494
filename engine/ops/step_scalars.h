// The numbers of an update that change from one to the next and that kernels read from memory, not from their
// arguments: a recorded step (core/graph.h) sees each update's own, and nobody waits for the device in
// between.
//
// The host writes the first part and the last (scalars_in_memory.h), the device the rest: `nats` grows with
// every micro-batch, gradient_factor() (optimizer.h) forms norm and factor, and the optimizer's kernel reads
// the factor and does nothing where the gradients are not finite. On the CPU all of it is ordinary memory.
#pragma once

#include <cstdint>

namespace engine {

struct StepScalars {
  // Before a micro-batch.
  uint64_t dropout_seed = 0;
  double loss_scale = 1;
  // Summed over micro-batches, then over ranks.
  double nats = 0, scored = 0;
  // Before a micro-batch, of a model with routers: the loss scale times the share of its tokens that are
  // scored.
  double auxiliary_scale = 1;
  // Formed from the gradients: their norm times `unclipped`, the factor that makes them those of the mean
  // loss and clips them, the same without clipping, and 1 unless the norm is infinite or not a number (0).
  double norm = 0, factor = 1, unclipped = 1, finite = 1;
  // Before the optimizer, by its rule (optimizer_kernels.h).
  double lr = 0, size = 0, root_scale = 1, buffer_to_p = 0, gradient_to_p = 0, buffer_keep = 0;
};

}  // namespace engine
