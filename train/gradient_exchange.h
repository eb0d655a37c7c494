// The gradients of one update, summed over its micro-batches and over all ranks, and what every rank has to
// know of every other one before it may go on: the control word.
//
// In the last micro-batch's backward pass a bucket starts on its way as soon as its gradients are complete,
// each only after the one before it (shards.h): readiness decides when, never in which order. With
// parallel.sum "tree" micro-batches come in the order of TreeCounter (engine/comm/tree_sum.h), each with a
// gradient of its own, and log2 k arenas hold partial sums; with "fast" they add up in the arena.
// Read first: shards.h. Then: update.h.
#pragma once

#include "engine/autograd/tape.h"
#include "engine/comm/tree_sum.h"
#include "train/shards.h"

namespace train {

/// What a rank tells the others, once an update.
struct RankWord {
  int64_t scored = 0;             // positions
  bool stop = false;              // a signal asked it to end
  double seconds = 0, clock = 0;  // of training so far; of its clock. Rank 0's count
  engine::Communicator::Trouble trouble;
};

/// What follows from the words of all ranks, the same on each of them.
struct Agreement {
  double nats = 0;     // summed in the order of the update's micro-batches
  double squares = 0;  // of the summed gradients, before any factor
  int64_t scored = 0;
  bool stop = false;
  double seconds = 0, clock = 0;
  std::vector<engine::Communicator::Trouble> troubles;  // one a rank, when some rank has one; else empty
};

class GradientExchange : private engine::GradientListener {
 public:
  GradientExchange(nn::Parameters& parameters, Shards& shards, SumOrder order);

  /// An update of `k` micro-batches on this rank begins.
  void begin(int64_t k);
  /// Which micro-batch comes in turn `turn`.
  int64_t batch(int64_t turn) const { return counter_ ? counter_->batch(turn) : turn; }
  /// Before and after the work of a turn, which need not have formed any gradient.
  void begin_turn(int64_t turn);
  void end_turn(int64_t turn);
  /// To be told by the tape of this turn; null where nobody needs to be.
  engine::GradientListener* listener();
  /// Also when a turn broke off. `nats`: of each of the k micro-batches. The arena then holds the sums: of
  /// this rank's parts, or of all where the ranks' optimizers change everything.
  Agreement finish(const std::vector<double>& nats, const RankWord& mine);

 private:
  void on_grad_ready(engine::Parameter& parameter) override;
  void start_ready();
  void start(size_t bucket);
  std::vector<double> squares() const;

  nn::Parameters& parameters_;
  Shards& shards_;
  SumOrder order_;
  std::optional<engine::TreeCounter> counter_;
  std::vector<engine::Tensor> held_;  // sums of levels, in f32 (f64)
  std::vector<int> waiting_total_, waiting_;  // parameters that a bucket waits for
  int64_t k_ = 1, turn_ = 0;
  size_t started_ = 0;
  std::vector<int64_t> jobs_;
};

}  // namespace train
