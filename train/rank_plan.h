// What training on several ranks will take and bring, from a model's config alone: bytes of one rank, and the
// share of its time that goes into arithmetic. Nothing is measured here: the machine is a table of published
// figures for H100 nodes. Read first: models/flops.h, shards.h.
#pragma once

#include "models/config.h"

namespace train {

/// 16-bit training with f32 masters and AdamW: bytes of state on each of `ranks` ranks.
struct RankMemory {
  double copies = 0, gradients = 0, masters = 0, moments = 0;
  double total() const { return copies + gradients + masters + moments; }
};
RankMemory rank_memory(const models::ModelConfig& config, int64_t ranks, int zero);

/// Of one GPU and what connects it. Compute: 989 TFLOP/s (H100, bf16 dense), of which training reaches 42 %
/// (dense) or 25 % (experts). Bytes a second that a rank sends: 370 GB/s within a node of 8 (nccl-tests),
/// 360 GB/s between nodes with eight 400 Gb/s network cards each.
struct Fabric {
  double flops = 989e12, dense_share = 0.42, expert_share = 0.25;
  double node_bytes = 370e9, network_bytes = 360e9;
  int64_t node = 8;
};

/// The time of an update's arithmetic over that of the whole update, when each rank has `tokens` tokens of it
/// in `micro_batches` micro-batches. Sums of gradients hide behind 90 % of the last backward pass, those of
/// embeddings and the way back do not.
double predicted_efficiency(const models::ModelConfig& config, int64_t ranks, int zero, double tokens,
                            int64_t context, int64_t micro_batches = 1, const Fabric& fabric = {});
/// The same of given seconds: of arithmetic in all micro-batches and in the last backward pass, of the sums
/// of gradients (of embeddings: the share that comes last), and of what follows the optimizer.
double efficiency_of(double compute, double last_backward, double sums, double last_sums, double publish);

}  // namespace train
