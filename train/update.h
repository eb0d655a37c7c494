// One update of a model: micro-batches forward and backward into the gradient arena, one factor for all
// gradients, the loss scaler's verdict, the optimizer, and what follows it. Whoever trains or measures
// gradients calls this one: the trainer, `bench step`, probes.
//
// With K micro-batches in the update, s scored positions and the loss scale c, gradients of c * (sum of
// losses) are formed, and the optimizer multiplies them by the one factor
//   1 / c * 1 / s * min(1, clip / norm),
// so that K micro-batches equal one batch. Dropout of micro-batch n is a function of (seed, n), n counting
// from the start of the run over all ranks: resuming needs no state, and N ranks draw what one rank would.
// Several ranks work on one update, each on micro-batches of its own; the sums, and every decision, are the
// same on all of them (gradient_exchange.h).
// Read first: models/transformer.h, optimizer.h, loss_scaler.h.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "models/transformer.h"
#include "train/gradient_exchange.h"
#include "train/loss_scaler.h"
#include "train/optimizer.h"

namespace train {

class MicroSteps;

/// What one forward and backward reads.
struct MicroBatch {
  models::InputRows tokens;
  models::Targets labels;
  int64_t scored = 0;  // positions (rows, for a classifier) that the loss counts; 0: nothing is computed
};

struct UpdateOptions {
  nn::Dropout dropout;
  double head_dropout = 0;     // as LossOptions::dropout
  uint64_t seed = 0;           // of dropout
  bool checkpointing = false;  // recompute each layer in backward
  double clip = 0;             // largest gradient norm; 0: not clipped
  int64_t vocabulary = 0;      // columns of the head from here on are padding; 0: none
  double ema_decay = 0;        // of the moving average, where there is one
  bool graphs = true;          // on a device that records: replay micro-steps (micro_step.h)
  bool check_graphs = false;   // and record each again first, to see that nothing in it is stale
  bool auxiliary = true;       // with the losses of experts' routers, which training adds to its own
  SumOrder sum = SumOrder::fast;
};

/// The generator that dropout in micro-batch `index` of a run draws from.
engine::Rng dropout_rng(uint64_t seed, int64_t index);

class Update {
 public:
  /// All of them must outlive the update; the optimizer changes `shards`' pieces. `scaler`: null but in f16.
  Update(models::Transformer& model, Optimizer& optimizer, Shards& shards, LossScaler* scaler,
         const UpdateOptions& options);
  ~Update();

  /// Of the mean loss over the scored positions of all ranks; the arena holds what `factor` makes its
  /// gradient.
  struct Gradients {
    double loss = 0;    // nats a scored position, without auxiliary losses
    double norm = 0;    // before clipping; may be infinite or NaN
    double factor = 0;  // for the arena, clipping included
    int64_t scored = 0;
    ScaleEvent event = ScaleEvent::apply;  // of the loss scaler
    /// On a device that is not waited for: until its work was asked for; all of a prepared step is
    /// backward's.
    double forward_seconds = 0, backward_seconds = 0;
    /// The factor without clipping: for the norms of single gradients.
    double unclipped = 0;
    bool finite() const;
    /// Of several ranks: what the control word says. With troubles nothing else counts.
    Agreement agreement;
  };
  /// Micro-steps that were replayed so far, not run as they come.
  int64_t replays() const;

  /// Fills the gradient arena from this rank's micro-batches, whose first is number `first` of the run and
  /// whose next ones follow at a distance of the number of ranks; every rank has as many. `mine`: what this
  /// rank tells the others; with a trouble in it the micro-batches are not looked at. One rank's errors are
  /// thrown, those of one of several are in the agreement. An update in which no rank scores a position (a
  /// masked LM whose draw has chosen none) is to be skipped; its loss and norm are 0, and the scaler does not
  /// see it.
  Gradients gradients(std::span<const MicroBatch> batches, int64_t first, const RankWord& mine = {});

  /// The optimizer's step with these gradients, and what belongs to it: nGPT's normalization, the moving
  /// average. `average`: of the optimizer's pieces; undefined without one.
  void apply(const Gradients& gradients, double lr, const engine::Tensor& average);

  /// Where the first number that is not finite came from, by running the micro-batches again with the same
  /// dropout; overwrites the gradients. kSumNotFinite: in none of them.
  static constexpr const char* kSumNotFinite = "the gradients of every micro-batch are finite; their sum is not";
  std::string find_bad_number(std::span<const MicroBatch> batches, int64_t first);

 private:
  /// Of this rank's micro-batches: adds to `g` what was scored and how long it took.
  void differentiate(std::span<const MicroBatch> batches, int64_t first, const engine::Tensor& nats,
                     Gradients& g);
  double loss_scale() const { return scaler_ ? scaler_->scale() : 1; }
  engine::Rng rng_of(size_t i, int64_t first) const {
    return dropout_rng(options_.seed, first + int64_t(i) * shards_.communicator().size());
  }

  /// One rank whose scalars stay on a device: nobody waits for it but once an update.
  bool on_device() const;
  void form_on_device(const RankWord& word, Gradients& g);

  models::Transformer& model_;
  Optimizer& optimizer_;
  Shards& shards_;
  LossScaler* scaler_;
  UpdateOptions options_;
  engine::ScalarsInMemory scalars_;
  std::unique_ptr<MicroSteps> micro_steps_;  // null: every micro-step runs as it comes
  GradientExchange exchange_;
};

}  // namespace train
