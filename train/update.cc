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

namespace train {

using engine::Tensor;

engine::Rng dropout_rng(uint64_t seed, int64_t index) {
  return data::item_rng(seed, data::Draw::dropout, 0, index);
}

bool Update::Gradients::finite() const { return std::isfinite(norm) && std::isfinite(loss); }

Update::Update(models::Transformer& model, Optimizer& optimizer, engine::Communicator& communicator,
               LossScaler* scaler, const UpdateOptions& options)
    : model_(model), optimizer_(optimizer), communicator_(communicator), scaler_(scaler), options_(options) {}

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
  // Stays where the model is until the update is whole.
  Tensor nats = Tensor::zeros({}, engine::DType::f64, parameters.precision().device);
  for (size_t i = 0; i < batches.size(); ++i) {
    if (batches[i].scored == 0) continue;
    const double start = engine::now();
    engine::Rng rng = rng_of(i, first);
    engine::Tape tape;
    const engine::TapeScope scope(tape);
    const Loss sums = loss(batches[i], rng, options_.checkpointing);
    const double middle = engine::now();
    tape.backward(sums.total);
    nats = engine::add(nats, sums.nats);
    g.scored += batches[i].scored;
    g.forward_seconds += middle - start;
    g.backward_seconds += engine::now() - middle;
  }
  parameters.complete_gradients();

  // Sums over all ranks; the factor divides them by the scored positions of all ranks.
  communicator_.all_reduce(parameters.grads());
  const double sum = engine::sum_over_ranks(communicator_, nats.item());
  g.scored = int64_t(engine::sum_over_ranks(communicator_, double(g.scored)));
  engine::check(g.scored > 0, "micro-batch ", first,
                " of the run and those of its update: no position is scored");
  g.loss = sum / double(g.scored);

  GradientFactor factor(scaler_ ? scaler_->scale() : 1);
  factor.multiply(1.0 / double(g.scored));
  g.unclipped = factor.value();
  g.norm = factor.norm(std::sqrt(engine::sum_of_squares(parameters.grads())));
  if (scaler_)
    factor.clip(g.norm, options_.clip);
  else
    factor.multiply(clip_factor(g.norm, options_.clip));
  g.factor = factor.value();
  g.event = scaler_ ? scaler_->observe(g.norm) : ScaleEvent::apply;
  return g;
}

void Update::apply(const Gradients& gradients, double lr, const Tensor& average) {
  optimizer_.step(lr, gradients.factor);
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
