// Read first: memory_check.h, models/flops.h.
#include "train/memory_check.h"

#include <algorithm>
#include <fstream>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/text.h"
#include "models/flops.h"

namespace train {

using engine::human_bytes;

double available_memory() {
  double available = 0;
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  double value = 0;
  while (file >> key >> value >> unit)
    if (key == "MemAvailable:") available = value * 1024;
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream limit_file(path);
    double limit = 0;
    if (limit_file >> limit && limit > 0) available = available > 0 ? std::min(available, limit) : limit;
  }
  return available;
}

namespace {

models::MemoryPlan plan_for(const TrainConfig& config, const models::ModelConfig& model, int64_t batch,
                            int64_t context, bool checkpointing) {
  const int bytes = config.precision == PrecisionKind::f32 ? 4 : 2;
  models::MemoryPlan plan = models::memory_plan(model, batch, context, bytes);
  if (checkpointing) {  // one layer's activations at a time, and what each layer was given
    const double layers = double(std::max<int64_t>(model.layers, 1));
    plan.activations = plan.activations / layers + double(batch * context * model.width) * 4 * layers;
  }
  if (config.precision != PrecisionKind::f32) plan.parameters *= 1.5;  // the 16-bit copies
  if (config.ema.decay > 0) plan.moments += plan.gradients;
  return plan;
}

}  // namespace

std::string check_memory(const TrainConfig& config, const models::ModelConfig& model, int64_t context,
                         double available) {
  const int64_t batch = config.data.batch;
  const models::MemoryPlan plan = plan_for(config, model, batch, context, config.activation_checkpointing);
  const std::string text = engine::join_text(
      "memory: ", human_bytes(plan.total()), " (parameters ", human_bytes(plan.parameters), ", gradients ",
      human_bytes(plan.gradients), ", moments ", human_bytes(plan.moments), ", activations ",
      human_bytes(plan.activations), ") of ", human_bytes(available), " available");
  if (available <= 0 || plan.total() <= available) return text;

  std::vector<std::string> remedies;
  for (int64_t smaller = batch / 2; smaller >= 1; smaller /= 2) {
    if (plan_for(config, model, smaller, context, config.activation_checkpointing).total() > available)
      continue;
    remedies.push_back(engine::join_text("data.batch=", smaller, " with data.accumulate=",
                                         config.data.accumulate * ((batch + smaller - 1) / smaller)));
    break;
  }
  if (!config.activation_checkpointing && plan_for(config, model, batch, context, true).total() <= available)
    remedies.push_back("activation_checkpointing=true");
  for (int64_t shorter = context / 2; shorter >= 16; shorter /= 2) {
    if (plan_for(config, model, batch, shorter, config.activation_checkpointing).total() > available)
      continue;
    remedies.push_back(engine::join_text("data.context=", shorter));
    break;
  }
  if (remedies.empty())
    remedies.push_back(engine::join_text("a smaller model: parameters, gradients and moments alone take ",
                                         human_bytes(plan.total() - plan.activations)));
  std::string list;
  for (const std::string& remedy : remedies) list += (list.empty() ? "" : "; or ") + remedy;
  engine::fail(text, ", which is not enough. What would fit: ", list);
}

}  // namespace train
