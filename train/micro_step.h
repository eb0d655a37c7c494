// One micro-batch on a device that records: forward and backward as one recorded step, replayed for every
// batch of the same shapes. Read first: engine/core/graph.h, models/batch.h, update.h.
//
// The first batch of its shapes runs as it comes, the second is recorded, the following ones are replays: a
// batch is copied to where the recorded one stood, and what else changes (the seed of dropout, the loss
// scale) is read from StepScalars. Nobody waits for the device in between.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "engine/core/graph.h"
#include "engine/ops/scalars_in_memory.h"
#include "train/update.h"

namespace train {

class MicroSteps {
 public:
  /// All of them must outlive this. The scalars' device is one that records.
  MicroSteps(models::Transformer& model, const engine::ScalarsInMemory& scalars,
             const UpdateOptions& options);

  /// Adds the batch's gradients to the arena and its loss to scalars.nats. `first`: no gradient has been
  /// written since clear_gradients(). `loss_scale`: the number that scalars.loss_scale has.
  void run(const MicroBatch& batch, uint64_t dropout_seed, bool first, double loss_scale);

  /// Steps that were replayed so far.
  int64_t replays() const { return replays_; }

 private:
  using Key = std::vector<int64_t>;
  struct Recorded {
    MicroBatch batch;  // where replays look for it
    int64_t uses = 0;
    std::unique_ptr<engine::StepGraph> graph;
    std::vector<bool> written;  // whose gradient the step has written, by parameter
  };
  static Key key_of(MicroBatch& batch, bool first);
  void step(const MicroBatch& batch) const;

  models::Transformer& model_;
  const engine::ScalarsInMemory& scalars_;
  const UpdateOptions& options_;
  std::shared_ptr<engine::ReservedMemory> memory_;  // of all recordings: replays come one after another
  std::map<Key, Recorded> recorded_;
  int64_t replays_ = 0;
};

}  // namespace train
