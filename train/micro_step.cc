// Read first: micro_step.h.
#include "train/micro_step.h"

#include <algorithm>

namespace train {

using engine::Tensor;
using models::InputRows, models::Targets;

namespace {

constexpr size_t kRecorded = 16;            // shapes that are recorded; each holds its memory
constexpr int64_t kMaskedCapacity = 64;     // masked rows are filled up to a multiple

/// Calls f with every tensor of a batch, always in one order.
template <class F>
void each_tensor(MicroBatch& batch, F&& f) {
  const auto index = [&](engine::RowIndex& i) { f(i.ids), f(i.order), f(i.starts); };
  InputRows& rows = batch.tokens;
  Targets& labels = batch.labels;
  f(rows.key_mask), index(rows.words), index(rows.positions), index(rows.types);
  for (InputRows::Band& band : rows.bands) index(band.positions), index(band.words);
  f(labels.scored.labels), index(labels.scored.rows), f(labels.values);
  for (Targets::Band& band : labels.bands) index(band.rows), f(band.labels.labels), index(band.labels.rows);
}

/// The masked rows of a masked LM are another number in every batch, and a step is recorded for one shape: rows
/// without a label fill them up.
void fill_up(engine::ScoredRows& scored) {
  const int64_t n = scored.scored(), total = scored.rows.rows,
                capacity = std::min(total, (n + kMaskedCapacity - 1) / kMaskedCapacity * kMaskedCapacity);
  if (capacity == n) return;
  std::vector<int32_t> rows(size_t(capacity), 0), labels(size_t(capacity), engine::kNotScored);
  const Tensor ids = scored.rows.ids.to(engine::Device::cpu), kept = scored.labels.to(engine::Device::cpu);
  std::copy_n(ids.data<int32_t>(), n, rows.begin());
  std::copy_n(kept.data<int32_t>(), n, labels.begin());
  scored.labels = Tensor::from_ids(labels, {capacity});
  scored.rows = engine::index_rows("gather_rows", Tensor::from_ids(rows, {capacity}), total, "the rows");
}

}  // namespace

bool MicroSteps::takes(const models::Transformer& model, engine::Device device) {
  const models::ModelConfig& c = model.config();
  // nGPT copies numbers from the host while it computes; experts and bands of words differ from batch to batch.
  return engine::graphs_of(device) && c.norms.stream.kind != nn::StreamKind::ngpt && c.objective != models::Objective::classify && c.experts == 0 && !c.adaptive;
}

MicroSteps::MicroSteps(models::Transformer& model, const engine::ScalarsInMemory& scalars,
                       const UpdateOptions& options)
    : model_(model), scalars_(scalars), options_(options) {}

MicroSteps::Key MicroSteps::key_of(MicroBatch& batch, bool first) {
  Key key = {first};
  each_tensor(batch, [&](Tensor& t) {
    key.push_back(t.defined() ? t.rank() : -1);
    if (t.defined()) key.insert(key.end(), t.shape().begin(), t.shape().end());
  });
  return key;
}

void MicroSteps::step(const MicroBatch& batch) const {
  engine::Rng rng{0, 0, &scalars_.memory()->dropout_seed};
  nn::Context context = model_.context();
  context.dropout = options_.dropout, context.rng = &rng, context.checkpointing = options_.checkpointing;
  engine::Tape tape;
  const engine::TapeScope scope(tape);
  const Tensor hidden = model_.hidden(batch.tokens, context, context.precision.compute);
  const Tensor nats = model_.loss(hidden, batch.labels, {.vocabulary = options_.vocabulary, .scale = &scalars_});
  tape.backward(nats);
  scalars_.nats().copy_from(nats.detach(), true);
}

void MicroSteps::run(const MicroBatch& micro_batch, uint64_t dropout_seed, bool first) {
  MicroBatch batch = micro_batch;
  if (model_.config().objective == models::Objective::mlm) fill_up(batch.labels.scored);
  const auto there = [&](MicroBatch b) {
    each_tensor(b, [&](Tensor& t) { t = t.to(scalars_.device()); });
    return b;
  };
  scalars_.set(&engine::StepScalars::dropout_seed, dropout_seed);
  const Key key = key_of(batch, first);
  if (recorded_.size() == kRecorded && !recorded_.contains(key)) return step(there(batch));
  Recorded& r = recorded_[key];
  if (++r.uses == 1) {
    r.batch = there(batch);
  } else {
    std::vector<Tensor> from;
    each_tensor(batch, [&](Tensor& t) { from.push_back(t); });
    size_t i = 0;
    each_tensor(r.batch, [&](Tensor& t) {
      if (t.defined() && t.numel() > 0) t.copy_from(from[i]);
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
