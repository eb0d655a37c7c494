// Read first: rank_plan.h.
#include "train/rank_plan.h"

#include <algorithm>

#include "models/flops.h"
#include "models/parameter_list.h"

namespace train {
namespace {

struct Counts {
  double matrices = 0, embeddings = 0, vectors = 0;
  double all() const { return matrices + embeddings + vectors; }
};

Counts count(const models::ModelConfig& config) {
  Counts n;
  for (const models::ParameterInfo& p : models::parameter_list(config))
    (p.group == nn::ParameterGroup::matrix      ? n.matrices
     : p.group == nn::ParameterGroup::embedding ? n.embeddings
                                                : n.vectors) += double(p.count());
  return n;
}

}  // namespace

RankMemory rank_memory(const models::ModelConfig& config, int64_t ranks, int zero) {
  const Counts n = count(config);
  const double share = zero > 0 ? 1.0 / double(ranks) : 1;
  // Vectors and embeddings are read in f32 by every rank.
  return {2 * (n.matrices + n.embeddings), 4 * n.all(), 4 * n.matrices * share + 4 * (n.embeddings + n.vectors),
          8 * n.all() * share};
}

double efficiency_of(double compute, double last_backward, double sums, double last_sums, double publish) {
  const double hidden = std::min(sums - last_sums, 0.9 * last_backward);
  return compute / (compute + (sums - hidden) + publish);
}

double predicted_efficiency(const models::ModelConfig& config, int64_t ranks, int zero, double tokens,
                            int64_t context, int64_t micro_batches, const Fabric& fabric) {
  if (ranks == 1) return 1;
  const Counts n = count(config);
  const double speed = fabric.flops * (config.experts > 0 ? fabric.expert_share : fabric.dense_share);
  const double compute = tokens * models::flops_per_token(config, context).total() / speed;
  const double bytes = (ranks <= fabric.node ? fabric.node_bytes : fabric.network_bytes);
  const double others = double(ranks - 1) / double(ranks) / bytes;  // seconds a byte of the arena
  const double publish = zero > 0 ? 2 * n.matrices + 4 * (n.embeddings + n.vectors) : 4 * n.all();
  return efficiency_of(compute, compute / double(micro_batches) * 2 / 3, 4 * n.all() * others,
                       4 * n.embeddings * others, publish * others);
}

}  // namespace train
