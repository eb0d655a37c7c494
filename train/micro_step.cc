// Read first: micro_step.h.
#include "train/micro_step.h"

#include <algorithm>
#include <numeric>

#include "train/micro_loss.h"

namespace train {

using engine::Tensor;
using models::InputRows, models::Targets;

namespace {

constexpr size_t kRecorded = 16;  // shapes that are recorded
constexpr int64_t kFilled =
    64;  // rows whose number is another one in every batch are filled up to a multiple

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

// A step is recorded for one shape. The masked rows of a masked LM, and the words of a band of an adaptive
// vocabulary, are another number in every batch: rows without a label, or without a place, fill them up.

std::vector<int32_t> filled(const Tensor& ids, int64_t capacity, int32_t with) {
  std::vector<int32_t> out(size_t(capacity), with);
  const Tensor host = ids.to(engine::Device::cpu);
  std::copy_n(host.data<int32_t>(), host.numel(), out.begin());
  return out;
}
Tensor ids_of(const std::vector<int32_t>& ids) { return Tensor::from_ids(ids, {int64_t(ids.size())}); }

int64_t capacity_of(int64_t n, int64_t most, int64_t multiple) {
  return std::min(most, (n + multiple - 1) / multiple * multiple);
}
/// Bands hold a share of the words that varies little: one of sixteen steps, so that few shapes come up.
int64_t band_multiple(int64_t most) { return std::max(kFilled, most / 16); }

engine::RowIndex index_of(const std::vector<int32_t>& ids, int64_t rows) {
  return engine::index_rows("gather_rows", ids_of(ids), rows, "the rows");
}

void fill_up(engine::ScoredRows& scored) {
  const int64_t n = scored.scored(), total = scored.rows.rows, capacity = capacity_of(n, total, kFilled);
  if (capacity == n) return;
  scored.labels = ids_of(filled(scored.labels, capacity, engine::kNotScored));
  scored.rows = index_of(filled(scored.rows.ids, capacity, 0), total);
}
/// Words that fill up go to a row of their own behind the others.
void fill_up(InputRows::Band& band, int64_t tokens) {
  const int64_t capacity = capacity_of(band.words.ids.numel(), tokens, band_multiple(tokens)),
                words = band.words.rows;
  band.positions = index_of(filled(band.positions.ids, capacity, int32_t(tokens)), tokens + 1);
  band.words = index_of(filled(band.words.ids, capacity, 0), words);
}
void fill_up(Targets::Band& band) {
  const int64_t total = band.rows.rows,
                capacity = capacity_of(band.labels.scored(), total, band_multiple(total));
  std::vector<int32_t> all(size_t(capacity), 0);
  std::iota(all.begin(), all.end(), 0);
  band.rows = index_of(filled(band.rows.ids, capacity, 0), total);
  band.labels = {ids_of(filled(band.labels.labels, capacity, engine::kNotScored)), index_of(all, capacity),
                 band.labels.classes};
}
void fill_up(MicroBatch& batch, const models::ModelConfig& config) {
  if (config.objective == models::Objective::mlm) fill_up(batch.labels.scored);
  for (InputRows::Band& band : batch.tokens.bands) fill_up(band, batch.tokens.shape.numel());
  for (Targets::Band& band : batch.labels.bands) fill_up(band);
}

}  // namespace

MicroSteps::MicroSteps(models::Transformer& model, const engine::ScalarsInMemory& scalars,
                       const UpdateOptions& options)
    : model_(model),
      scalars_(scalars),
      options_(options),
      memory_(std::make_shared<engine::ReservedMemory>(scalars.device())) {}

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
  engine::Tape tape;
  const engine::TapeScope scope(tape);
  const MicroLoss sums =
      micro_loss(model_, batch, options_, options_.checkpointing, rng, /*scale=*/1, &scalars_);
  tape.backward(sums.total);
  scalars_.nats().copy_from(sums.nats, true);
}

void MicroSteps::run(const MicroBatch& micro_batch, uint64_t dropout_seed, bool first, double loss_scale) {
  MicroBatch batch = micro_batch;
  fill_up(batch, model_.config());
  const auto there = [&](MicroBatch b) {
    each_tensor(b, [&](Tensor& t) { t = t.to(scalars_.device()); });
    return b;
  };
  scalars_.set(&engine::StepScalars::dropout_seed, dropout_seed);
  if (model_.config().experts > 0)
    scalars_.set(&engine::StepScalars::auxiliary_scale, loss_scale * scored_share(micro_batch));
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
    r.graph = std::make_unique<engine::StepGraph>(
        scalars_.device(), [&] { step(r.batch); }, memory_);
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
