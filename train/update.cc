// Read first: update.h.
#include "train/update.h"

#include <cmath>

#include "data/shuffle.h"
#include "engine/base/clock.h"
#include "engine/base/text.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/optimizer.h"
#include "models/init.h"
#include "train/diagnosis.h"
#include "train/micro_step.h"

namespace train {

using engine::Tensor;

engine::Rng dropout_rng(uint64_t seed, int64_t index) {
  return data::item_rng(seed, data::Draw::dropout, 0, index);
}

bool Update::Gradients::finite() const { return std::isfinite(norm) && std::isfinite(loss); }

Update::Update(models::Transformer& model, Optimizer& optimizer, engine::Communicator& communicator,
               LossScaler* scaler, const UpdateOptions& options)
    : model_(model),
      optimizer_(optimizer),
      communicator_(communicator),
      scaler_(scaler),
      options_(options),
      scalars_(model.parameters().precision().device) {
  if (MicroSteps::takes(model, scalars_.device()))
    micro_steps_ = std::make_unique<MicroSteps>(model_, scalars_, options_);
}
Update::~Update() = default;

int64_t Update::replays() const { return micro_steps_ ? micro_steps_->replays() : 0; }

Update::Loss Update::loss(const MicroBatch& batch, engine::Rng& rng, bool checkpointing) const {
  nn::Context context = model_.context();
  context.dropout = options_.dropout;
  context.rng = &rng;
  context.checkpointing = checkpointing;
  const double scale = scaler_ ? scaler_->scale() : 1;
  std::vector<Tensor> auxiliary;
  const Tensor hidden = model_.hidden(batch.tokens, context, context.precision.compute, &auxiliary);
  const Tensor nats =
      model_.loss(hidden, batch.labels,
                  {.loss_scale = scale,
                   .vocabulary = options_.vocabulary,
                   .dropout = options_.head_dropout,
                   .rng = &rng});
  Tensor total = nats;
  for (const Tensor& term : auxiliary) total = engine::add(total, engine::affine(term, scale));
  return {nats.detach(), total};
}

Update::Gradients Update::gradients(std::span<const MicroBatch> batches, int64_t first) {
  Gradients g;
  nn::Parameters& parameters = model_.parameters();
  parameters.clear_gradients();
  scalars_.set(&engine::StepScalars::nats, 0.0);
  scalars_.set(&engine::StepScalars::loss_scale, scaler_ ? scaler_->scale() : 1.0);
  bool first_written = true;
  for (size_t i = 0; i < batches.size(); ++i) {
    if (batches[i].scored == 0) continue;
    const double start = engine::now();
    double middle = start;
    if (micro_steps_) {
      micro_steps_->run(batches[i], rng_of(i, first).seed, first_written);
    } else {
      engine::Rng rng = rng_of(i, first);
      engine::Tape tape;
      const engine::TapeScope scope(tape);
      const Loss sums = loss(batches[i], rng, options_.checkpointing);
      middle = engine::now();
      tape.backward(sums.total);
      scalars_.nats().copy_from(sums.nats, true);
    }
    first_written = false;
    g.scored += batches[i].scored;
    g.forward_seconds += middle - start;
    g.backward_seconds += engine::now() - middle;
  }
  parameters.complete_gradients();

  // Sums over all ranks; the factor divides them by the scored positions of all ranks.
  communicator_.all_reduce(parameters.grads());
  scalars_.set(&engine::StepScalars::scored, double(g.scored));
  communicator_.all_reduce(scalars_.sums());
  engine::form_factor(parameters.grads(), scalars_, {.most = options_.clip, .exact = scaler_ != nullptr});
  const engine::StepScalars formed = scalars_.read();  // the one time that an update waits for the device
  g.scored = int64_t(formed.scored);
  engine::check(g.scored > 0, "micro-batch ", first,
                " of the run and those of its update: no position is scored");
  g.loss = formed.nats / formed.scored;
  g.unclipped = formed.unclipped, g.norm = formed.norm, g.factor = formed.factor;
  g.event = scaler_ ? scaler_->observe(g.norm) : ScaleEvent::apply;
  return g;
}

void Update::apply(const Gradients& gradients, double lr, const Tensor& average) {
  optimizer_.step(lr, scalars_);
  models::normalize_ngpt(model_);
  if (average.defined()) engine::ema_step(average, model_.parameters().values(), options_.ema_decay);
}

std::string Update::find_bad_number(std::span<const MicroBatch> batches, int64_t first) {
  for (size_t i = 0; i < batches.size(); ++i) {
    if (batches[i].scored == 0) continue;
    model_.parameters().clear_gradients();
    engine::Rng rng = rng_of(i, first);
    const auto again = [&] { return loss(batches[i], rng, /*checkpointing=*/false).total; };
    if (const std::string where = train::find_bad_number(again); !where.empty()) return where;
    for (const engine::Parameter* p : model_.parameters().all()) {
      if (!p->grad_written) continue;
      if (const std::string what = not_finite(p->grad); !what.empty())
        return engine::join_text("gradient of ", p->name, ": ", what);
    }
  }
  return "the gradients of every micro-batch are finite; their sum is not";
}

}  // namespace train
