// Read first: micro_step.h.
#include "train/micro_step.h"

namespace train {

using engine::Tensor;
using models::PreparedBatch;

namespace {
constexpr size_t kRecorded = 16;  // shapes that are recorded; each holds its memory
}

MicroSteps::MicroSteps(models::Transformer& model, const engine::ScalarsInMemory& scalars,
                       const UpdateOptions& options)
    : model_(model), scalars_(scalars), options_(options) {}

MicroSteps::Key MicroSteps::key_of(PreparedBatch& batch, bool first) {
  Key key = {first};
  batch.each([&](Tensor& t) {
    key.push_back(t.defined() ? t.rank() : -1);
    if (t.defined()) key.insert(key.end(), t.shape().begin(), t.shape().end());
  });
  return key;
}

void MicroSteps::step(const PreparedBatch& batch) const {
  engine::Rng rng{0, 0, &scalars_.memory()->dropout_seed};
  nn::Context context = model_.context();
  context.dropout = options_.dropout, context.rng = &rng, context.checkpointing = options_.checkpointing;
  engine::Tape tape;
  const engine::TapeScope scope(tape);
  const Tensor hidden = model_.hidden({.prepared = &batch}, context, context.precision.compute);
  const Tensor nats =
      model_.loss(hidden, {}, {.vocabulary = options_.vocabulary, .scale = &scalars_, .prepared = &batch});
  tape.backward(nats);
  scalars_.nats().copy_from(nats.detach(), true);
}

void MicroSteps::run(const MicroBatch& micro_batch, uint64_t dropout_seed, bool first) {
  PreparedBatch batch = model_.prepare(micro_batch.tokens, micro_batch.labels, options_.vocabulary);
  scalars_.set(&engine::StepScalars::dropout_seed, dropout_seed);
  const Key key = key_of(batch, first);
  if (recorded_.size() == kRecorded && !recorded_.contains(key)) return step(batch.to(scalars_.device()));
  Recorded& r = recorded_[key];
  if (++r.uses == 1) {
    r.batch = batch.to(scalars_.device());
  } else {
    std::vector<Tensor> from;
    batch.each([&](Tensor& t) { from.push_back(t); });
    size_t i = 0;
    r.batch.each([&](Tensor& t) {
      if (t.defined()) t.copy_from(from[i]);
      ++i;
    });
  }
  if (r.uses == 1 || !options_.graphs) return step(r.batch);

  nn::Parameters& parameters = model_.parameters();
  std::vector<bool> before;
  for (const engine::Parameter* p : parameters.all()) before.push_back(p->grad_written);
  const auto set = [&](const std::vector<bool>& written) {
    for (size_t i = 0; i < written.size(); ++i) parameters.all()[i]->grad_written = written[i];
  };
  if (!r.graph) {
    r.graph = std::make_unique<engine::StepGraph>(scalars_.device(), [&] { step(r.batch); });
    for (const engine::Parameter* p : parameters.all()) r.written.push_back(p->grad_written);
  } else if (options_.check_graphs) {
    const std::string stale = r.graph->difference([&] { step(r.batch); });
    engine::check(stale.empty(), "a recorded micro-step is stale: ", stale);
    set(before);
  }
  r.graph->replay();
  ++replays_;
  set(r.written);
}

}  // namespace train
