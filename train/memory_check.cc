// Read first: memory_check.h, models/flops.h.
#include "train/memory_check.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/base/text.h"
#include "engine/core/block_size.h"
#include "engine/core/graph.h"
#include "engine/core/memory.h"
#include "models/activation_peak.h"
#include "models/flops.h"
#include "train/optimizer.h"

namespace train {

using engine::human_bytes;

namespace {

/// What a run's memory depends on.
struct Setting {
  TrainConfig config;
  models::ModelConfig model;
  int64_t context;
  int ranks = 1;
};

/// A checkpoint is written from copies of weights and moments while training goes on.
struct RunPlan : models::MemoryPlan {
  double copies = 0;
  bool copies_beside_activations = false;  // also checkpoints before the end, when activations are there too
  double total() const {
    const double held = parameters + gradients + moments;
    return held + (copies_beside_activations ? activations + copies : std::max(activations, copies));
  }
};

/// Parameters, gradients and moments are one block each.
double block(double bytes) { return double(engine::block_size(size_t(bytes))); }

/// What the micro-batches of an update take where they wait for their turn: ids and labels with the orders of
/// their sums (models/batch.h), of which one counts the rows of the vocabulary, in a dozen small blocks.
double waiting_batches(const Setting& s) {
  const double tokens = double(s.config.data.batch) * double(s.context), id = 4, blocks = 1024;
  const double each = id * (6 * tokens + double(s.model.vocab_size)) + blocks;
  return each * double(s.config.data.accumulate);
}

RunPlan plan_for(const Setting& s) {
  const bool f32 = s.config.precision == PrecisionKind::f32;
  RunPlan plan{models::memory_plan(s.model, s.config.data.batch, s.context, 4)};
  plan.activations = models::activation_peak(
      s.model, {.batch = s.config.data.batch,
                .context = s.context,
                .half = !f32,
                .activation_dropout = s.config.dropout.activation > 0,
                .recompute = s.config.activation_checkpointing,
                .scored = s.model.objective == models::Objective::mlm ? s.config.data.mask_probability : 1});
  // On a device that records steps, the first batch of each shape is computed beside the memory of the
  // recorded ones.
  const bool shapes_vary = !s.model.causal() || s.model.adaptive;
  if (shapes_vary && engine::graphs_of(s.config.device)) plan.activations *= 2;
  if (s.config.device == engine::Device::cpu)
    plan.activations += waiting_batches(s);  // else beside its memory
  for (double* bytes : {&plan.parameters, &plan.gradients}) *bytes = block(*bytes);
  plan.moments = 2 * block(plan.moments / 2);
  const Moments kept = kept_moments(s.config.optim);
  plan.moments *= (int(kept.first) + int(kept.second)) / 2.0;
  if (s.config.ema.decay > 0) plan.moments += plan.gradients;
  if (s.config.loss_scale.memory_efficient) plan.parameters /= 2, plan.gradients /= 2;
  const CheckpointConfig& c = s.config.checkpoint;
  plan.copies = plan.parameters + plan.moments;
  const bool dealt = s.config.parallel.zero > 0 && s.ranks > 1;
  const bool masters_dealt = dealt && !f32 && !s.config.loss_scale.memory_efficient;
  if (dealt) plan.moments /= s.ranks;
  if (s.config.parallel.sum == SumOrder::tree)  // the sums of levels that micro-batches wait for
    plan.gradients *= 1 + std::ceil(std::log2(double(s.config.data.accumulate)));
  plan.copies_beside_activations =
      c.every > 0 || c.seconds > 0 || (c.keep_best > 0 && s.config.eval.every > 0);
  if (!f32 && !s.config.loss_scale.memory_efficient)  // the 16-bit copies
    plan.parameters *= (masters_dealt ? 1.0 / s.ranks : 1) + 0.5;
  return plan;
}

double bytes_of(const Setting& s) { return plan_for(s).total(); }

constexpr double kMostRows = 1e15;  // of an update that anybody means

/// Changes one setting until the run fits, or as far as it goes; returns its text, empty when there is
/// nothing to change.
using Remedy = std::string(Setting& s, double available);

std::string fewer_rows(Setting& s, double available) {
  int64_t &batch = s.config.data.batch, &accumulate = s.config.data.accumulate;
  const double rows = double(batch) * double(accumulate);
  if (batch == 1 || rows > kMostRows) return {};
  while (batch > 1 && bytes_of(s) > available) {
    batch /= 2;
    accumulate = (int64_t(rows) + batch - 1) / batch;
  }
  return engine::join_text("data.batch=", batch, ", data.accumulate=", accumulate);
}

/// Fewer rows in an update, not only at once.
std::string smaller_update(Setting& s, double available) {
  int64_t &batch = s.config.data.batch, &accumulate = s.config.data.accumulate;
  if (batch == 1 && accumulate == 1) return {};
  while (accumulate > 1 && bytes_of(s) > available) accumulate /= 2;
  while (batch > 1 && bytes_of(s) > available) batch /= 2;
  return engine::join_text("data.batch=", batch, ", data.accumulate=", accumulate);
}

std::string recompute(Setting& s, double) {
  return std::exchange(s.config.activation_checkpointing, true) ? "" : "activation_checkpointing=true";
}

std::string shorter_rows(Setting& s, double available) {
  if (s.context < 32) return {};
  while (s.context >= 32 && bytes_of(s) > available) s.context /= 2;
  return engine::join_text("data.context=", s.context);
}

std::string fewer_layers(Setting& s, double available) {
  if (s.model.layers < 2) return {};
  while (s.model.layers > 1 && bytes_of(s) > available) s.model.layers /= 2;
  return engine::join_text("model.layers=", s.model.layers);
}

std::string half_precision(Setting& s, double) {
  if (s.config.precision != PrecisionKind::f32) return {};
  s.config.precision = PrecisionKind::f16;
  s.config.loss_scale.memory_efficient = true;
  return "precision=f16, loss_scale.memory_efficient=true";
}

std::string deal_out(Setting& s, double) {
  if (s.ranks == 1 || s.config.parallel.zero > 0) return {};
  s.config.parallel.zero = 1;
  return "parallel.zero=1";
}

template <auto... Steps>
std::string in_turn(Setting& s, double available) {
  std::string text;
  for (Remedy* step : {Steps...}) {
    if (bytes_of(s) <= available) break;
    if (const std::string next = step(s, available); !next.empty()) text += (text.empty() ? "" : ", ") + next;
  }
  return text;
}

/// The least harmful first: what leaves the result alone, then what changes the task, then the model.
constexpr Remedy* kRemedies[] = {
    deal_out,
    fewer_rows,
    recompute,
    in_turn<recompute, fewer_rows>,
    in_turn<deal_out, recompute, fewer_rows>,
    shorter_rows,
    half_precision,
    in_turn<recompute, fewer_rows, half_precision>,
    in_turn<recompute, fewer_rows, shorter_rows>,
    fewer_layers,
    in_turn<recompute, fewer_rows, shorter_rows, fewer_layers>,
    smaller_update,
};
constexpr size_t kNamed = 3;

std::string remedies(const Setting& wanted, double available) {
  std::vector<std::string> found;
  for (Remedy* remedy : kRemedies) {
    Setting s = wanted;
    std::string text;
    try {
      text = remedy(s, available);
      if (text.empty() || bytes_of(s) > available) continue;
      text += " (" + human_bytes(bytes_of(s)) + ")";
    } catch (const engine::Error&) {  // a layer rule of the norms names layers that fewer would not have
      continue;
    }
    if (std::find(found.begin(), found.end(), text) == found.end()) found.push_back(text);
    if (found.size() == kNamed) break;
  }
  if (found.empty()) {
    const RunPlan plan = plan_for(wanted);
    return "a smaller model: parameters, gradients and moments alone take " +
           human_bytes(plan.parameters + plan.gradients + plan.moments);
  }
  std::string list;
  for (const std::string& text : found) list += (list.empty() ? "" : "; or ") + text;
  return list;
}

}  // namespace

double available_memory_of(engine::Device device) {
  const auto available = engine::memory_of(device).available;
  return available ? double(available()) : engine::available_memory();
}

double planned_memory(const TrainConfig& config, const models::ModelConfig& model, int64_t context,
                      int ranks) {
  return bytes_of({config, model, context, ranks});
}

std::string check_memory(const TrainConfig& config, const models::ModelConfig& model, int64_t context,
                         double available, int ranks) {
  const Setting wanted{config, model, context, ranks};
  const RunPlan plan = plan_for(wanted);
  const std::string text =
      engine::join_text("memory: ", human_bytes(plan.total()), " (parameters ", human_bytes(plan.parameters),
                        ", gradients ", human_bytes(plan.gradients), ", moments ", human_bytes(plan.moments),
                        ", activations ", human_bytes(plan.activations), ", copies for checkpoints ",
                        human_bytes(plan.copies), ") of ", human_bytes(available), " available");
  if (available <= 0 || plan.total() <= available) return text;
  engine::fail(text, ", which is not enough. What would fit: ", remedies(wanted, available));
}

}  // namespace train
