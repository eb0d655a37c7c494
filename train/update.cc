// Read first: update.h.
#include "train/update.h"

#include <cmath>

#include "data/shuffle.h"
#include "engine/base/clock.h"
#include "engine/base/text.h"
#include "engine/ops/optimizer.h"
#include "models/init.h"
#include "train/diagnosis.h"
#include "train/micro_loss.h"
#include "train/micro_step.h"

namespace train {

using engine::Tensor;

engine::Rng dropout_rng(uint64_t seed, int64_t index) {
  return data::item_rng(seed, data::Draw::dropout, 0, index);
}

bool Update::Gradients::finite() const { return std::isfinite(norm) && std::isfinite(loss); }

Update::Update(models::Transformer& model, Optimizer& optimizer, Shards& shards, LossScaler* scaler,
               const UpdateOptions& options)
    : model_(model),
      optimizer_(optimizer),
      shards_(shards),
      scaler_(scaler),
      options_(options),
      scalars_(model.parameters().precision().device),
      exchange_(model.parameters(), shards, options.sum) {
  if (on_device() && engine::graphs_of(scalars_.device()))
    micro_steps_ = std::make_unique<MicroSteps>(model_, scalars_, options_);
}
Update::~Update() = default;

int64_t Update::replays() const { return micro_steps_ ? micro_steps_->replays() : 0; }

bool Update::on_device() const {
  return scalars_.device() != engine::Device::cpu && shards_.communicator().size() == 1 &&
         options_.sum == SumOrder::fast;
}

void Update::differentiate(std::span<const MicroBatch> batches, int64_t first, const Tensor& nats,
                           Gradients& g) {
  scalars_.set(&engine::StepScalars::nats, 0.0);
  scalars_.set(&engine::StepScalars::loss_scale, loss_scale());
  bool first_written = true;
  for (size_t turn = 0; turn < batches.size(); ++turn) {
    const size_t i = size_t(exchange_.batch(int64_t(turn)));
    exchange_.begin_turn(int64_t(turn));
    if (batches[i].scored > 0) {
      const double start = engine::now();
      double middle = start;
      if (micro_steps_) {
        micro_steps_->run(batches[i], rng_of(i, first).seed, first_written, loss_scale());
      } else {
        engine::Rng rng = rng_of(i, first);
        engine::Tape tape;
        tape.listener = exchange_.listener();
        const engine::TapeScope scope(tape);
        const MicroLoss sums =
            micro_loss(model_, batches[i], options_, options_.checkpointing, rng, loss_scale());
        middle = engine::now();
        tape.backward(sums.total);
        if (on_device())
          scalars_.nats().copy_from(sums.nats, true);
        else
          nats.slice(0, int64_t(i), int64_t(i) + 1).copy_from(sums.nats.reshape({1}));
      }
      first_written = false;
      g.scored += batches[i].scored;
      g.forward_seconds += middle - start;
      g.backward_seconds += engine::now() - middle;
    }
    exchange_.end_turn(int64_t(turn));
  }
}

Update::Gradients Update::gradients(std::span<const MicroBatch> batches, int64_t first, const RankWord& mine) {
  Gradients g;
  const engine::Communicator& communicator = shards_.communicator();
  // Stay where the model is until the update is whole.
  const Tensor nats =
      Tensor::zeros({int64_t(batches.size())}, engine::DType::f64, model_.parameters().precision().device);
  RankWord word = mine;
  exchange_.begin(int64_t(batches.size()));
  try {
    if (word.trouble.code == 0) differentiate(batches, first, nats, g);
  } catch (...) {
    if (communicator.size() == 1) throw;
    word.trouble = engine::Communicator::current_trouble();
  }
  // Sums over all ranks; the factor divides them by the scored positions of all ranks.
  word.scored = g.scored;
  if (on_device() && word.trouble.code == 0) {
    form_on_device(word, g);
  } else {
    g.agreement = exchange_.finish(nats.to_vector(), word);
    if (!g.agreement.troubles.empty()) return g;
    const engine::GradientFactor formed =
        engine::gradient_factor(loss_scale(), double(g.agreement.scored), std::sqrt(g.agreement.squares),
                                {.most = options_.clip, .exact = scaler_ != nullptr});
    g.unclipped = formed.unclipped, g.norm = formed.norm, g.factor = formed.factor;
  }
  g.scored = g.agreement.scored;
  if (g.scored == 0) {
    g.loss = g.norm = g.factor = g.unclipped = 0;
    g.event = ScaleEvent::skip;
    return g;
  }
  g.loss = g.agreement.nats / double(g.scored);
  g.event = scaler_ ? scaler_->observe(g.norm) : ScaleEvent::apply;
  return g;
}

/// Norm and factor where the gradients are; waits for the device, the one time in an update.
void Update::form_on_device(const RankWord& word, Gradients& g) {
  nn::Parameters& parameters = model_.parameters();
  parameters.complete_gradients();
  scalars_.set(&engine::StepScalars::scored, double(word.scored));
  engine::form_factor(parameters.grads(), scalars_, {.most = options_.clip, .exact = scaler_ != nullptr});
  const engine::StepScalars formed = scalars_.read();
  g.agreement = {.nats = formed.nats,
                 .scored = int64_t(formed.scored),
                 .stop = word.stop,
                 .seconds = word.seconds,
                 .clock = word.clock};
  g.unclipped = formed.unclipped, g.norm = formed.norm, g.factor = formed.factor;
}

void Update::apply(const Gradients& gradients, double lr, const Tensor& average) {
  if (on_device())
    optimizer_.step(lr, scalars_);
  else
    optimizer_.step(lr, gradients.factor);
  if (models::is_ngpt(model_.config()))
    shards_.publish_changed([&](const engine::Parameter& p, const Tensor& value) {
      models::normalize_ngpt(model_, p, value);
    });
  else
    shards_.publish();
  if (!average.defined()) return;
  for (const nn::Piece& p : shards_.pieces())
    engine::ema_step(average.slice(0, p.at, p.at + p.end - p.begin),
                     model_.parameters().values(p.begin, p.end), options_.ema_decay);
}

std::string Update::find_bad_number(std::span<const MicroBatch> batches, int64_t first) {
  for (size_t i = 0; i < batches.size(); ++i) {
    if (batches[i].scored == 0) continue;
    model_.parameters().clear_gradients();
    engine::Rng rng = rng_of(i, first);
    const auto again = [&] {
      return micro_loss(model_, batches[i], options_, /*checkpointing=*/false, rng, loss_scale()).total;
    };
    if (const std::string where = train::find_bad_number(again); !where.empty()) return where;
    for (const engine::Parameter* p : model_.parameters().all()) {
      if (!p->grad_written) continue;
      if (const std::string what = not_finite(p->grad); !what.empty())
        return engine::join_text("gradient of ", p->name, ": ", what);
    }
  }
  return kSumNotFinite;
}

}  // namespace train
