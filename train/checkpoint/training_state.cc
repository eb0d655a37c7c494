// Read first: training_state.h.
#include "train/checkpoint/training_state.h"

#include <memory>

#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/base/thread.h"
#include "engine/kernel/isa.h"
#include "train/checkpoint/checkpoint_dir.h"

namespace train {

using engine::Json;
using engine::Tensor;

namespace {

/// The place in a copy of the values arena that a parameter has in the arena.
Tensor part_of(const Tensor& arena, const engine::Parameter& parameter) {
  const engine::Shape& shape = parameter.grad.shape();
  return arena.strided(shape, engine::contiguous_strides(shape), parameter.grad.offset());
}

Tensor loaded(const engine::Safetensors& file, const char* name, engine::DType dtype, int64_t elements) {
  const Tensor stored = file.load(name, dtype);
  engine::check(stored.shape() == engine::Shape{elements}, file.path(), ": ", name, " is ", stored.shape(),
                ", this model needs ", engine::Shape{elements});
  return stored;
}

Json optional_number(const std::optional<double>& x) { return x ? Json(*x) : Json(); }

/// Says so when a run goes on with other kernels than it was trained with: its losses will not be those of a
/// run that was never interrupted.
void compare_kernels(const Json& json, const std::string& path) {
  if (!json.contains("kernels")) return;  // written before the level was kept
  const std::string before = engine::json_string(json["kernels"], path + ": kernels");
  if (before != kernels_in_use())
    engine::log_warning("the run goes on with kernels for ", kernels_in_use(),
                        ", its checkpoint was made with those for ", before,
                        ": losses will differ in their last digits (NORMLAB_ISA and NORMLAB_BF16 choose)");
}

}  // namespace

std::string kernels_in_use() {
  return std::string(engine::cpu::name_of(engine::cpu::isa())) + " (bf16 " +
         engine::cpu::name_of(engine::cpu::bf16_product()) + ")";
}

Json training_json(const TrainingState& s, const LossScaler* scaler) {
  const RunCounters& c = s.counters;
  return {{"step", c.step},
          {"applied", c.applied},
          {"tokens", c.tokens},
          {"seconds", c.seconds},
          {"best_loss", optional_number(c.best_loss)},
          {"last_loss", optional_number(c.last_loss)},
          {"validated_at", c.validated_at},
          {"evaluations_without_gain", c.evaluations_without_gain},
          {"data", data::to_json(s.position)},
          {"loss_scaler", scaler ? scaler->state() : Json()},
          {"settings", s.settings},
          {"kernels", kernels_in_use()}};
}

void read_training_json(const Json& json, const std::string& path, TrainingState& s, LossScaler* scaler) {
  engine::check_keys(json,
                     {"step", "applied", "tokens", "seconds", "best_loss", "last_loss", "validated_at",
                      "evaluations_without_gain", "data", "loss_scaler", "settings", "kernels"},
                     path);
  const auto at = [&](const Json& object, const char* key) -> const Json& {
    engine::check(object.is_object() && object.contains(key), path, ": no \"", key, "\"");
    return object[key];
  };
  const auto count = [&](const char* key) {
    return engine::json_int(at(json, key), path + ": " + key, 0, int64_t(1) << 53);
  };
  compare_kernels(json, path);
  RunCounters& c = s.counters;
  c.step = count("step");
  c.applied = count("applied");
  c.tokens = count("tokens");
  c.seconds = engine::json_number(at(json, "seconds"), path + ": seconds");
  for (auto [key, value] : {std::pair{"best_loss", &c.best_loss}, std::pair{"last_loss", &c.last_loss}}) {
    value->reset();
    if (!at(json, key).is_null()) *value = engine::json_number(at(json, key), path + ": " + key);
  }
  c.validated_at = count("validated_at");
  c.evaluations_without_gain = count("evaluations_without_gain");
  s.position = data::position_from_json(at(json, "data"), path + ": data");
  // Without a state the run was not in f16 so far: the scale starts at loss_scale.init.
  const Json& scale = at(json, "loss_scaler");
  if (scaler && !scale.is_null()) scaler->restore(scale, path + ": loss_scaler");
  s.settings = json.contains("settings") ? json["settings"] : Json();
}

Snapshot take_snapshot(const models::Transformer& model, const Optimizer& optimizer,
                       const TrainingState& state, const LossScaler* scaler, const Shards& shards,
                       const std::string& tokenizer_json, const std::string& run) {
  Snapshot snapshot;
  snapshot.config = model.config();
  if (!tokenizer_json.empty()) snapshot.config.tokenizer = "tokenizer.json";
  snapshot.tokenizer_json = tokenizer_json;
  snapshot.run = run;
  snapshot.step = state.counters.step;
  if (state.counters.validated_at == state.counters.step) snapshot.valid_loss = state.counters.last_loss;
  snapshot.training_json = engine::json_text(training_json(state, scaler), 1) + "\n";
  for (const auto& [name, tensor] : optimizer.moments())
    snapshot.optimizer.emplace_back(name, shards.gather(tensor));
  snapshot.optimizer.emplace_back("counters", Tensor::from(optimizer.counters(), {2}));
  // With an average, the model that people load is the average; the raw weights go beside the moments.
  const Tensor values = shards.gather_values();
  const Tensor shown = state.average.defined() ? shards.gather(state.average) : values;
  if (state.average.defined()) snapshot.optimizer.emplace_back("values", values);
  if (shards.communicator().rank() != 0) return {};
  for (const engine::Parameter* p : model.parameters().all())
    snapshot.weights.emplace_back(p->name, part_of(shown, *p));
  return snapshot;
}

std::string write_snapshot(const Snapshot& snapshot, int64_t keep, int64_t keep_best) {
  CheckpointWriter writer(snapshot.run, snapshot.step);
  const std::string folder = writer.folder() + "/";
  engine::write_file(folder + "config.json", engine::json_text(models::to_json(snapshot.config), 1) + "\n");
  engine::write_safetensors(folder + "model.safetensors", snapshot.weights, {{"format", "normlab"}});
  engine::write_safetensors(folder + "optimizer.safetensors", snapshot.optimizer);
  engine::write_file(folder + "training.json", snapshot.training_json);
  if (!snapshot.tokenizer_json.empty())
    engine::write_file(folder + "tokenizer.json", snapshot.tokenizer_json);
  const std::string path = writer.commit(snapshot.valid_loss);
  prune_checkpoints(snapshot.run, snapshot.step, keep, keep_best);
  return path;
}

void restore_checkpoint(const std::string& folder, models::Transformer& model, Optimizer& optimizer,
                        TrainingState& state, LossScaler* scaler, const Shards& shards) {
  engine::Communicator& communicator = shards.communicator();
  nn::Parameters& parameters = model.parameters();
  const int64_t n = parameters.elements();
  std::vector<Tensor> moments;  // whole, on rank 0
  Tensor average, counters = Tensor::zeros({2}, engine::DType::f64);
  std::string json;
  communicator.agree([&] {
    if (communicator.rank() != 0) return;
    const engine::Safetensors weights(folder + "/model.safetensors");
    models::load_parameters(parameters, weights, folder);
    const engine::Safetensors file(folder + "/optimizer.safetensors");
    optimizer.check_file(file);
    for (const auto& [name, tensor] : optimizer.moments())
      moments.push_back(loaded(file, name.c_str(), tensor.dtype(), n));
    counters = file.load("counters", engine::DType::f64);
    engine::check(counters.shape() == engine::Shape{2}, file.path(), ": counters must be [2]");
    if (state.average.defined()) {
      // From the file: f16 parameters would round it. Of a run that did not average yet it begins here.
      average = Tensor::zeros({n}, state.average.dtype());
      for (const engine::Parameter* p : parameters.all())
        part_of(average, *p).copy_from(weights.load(p->name, average.dtype()));
    }
    if (file.find("values") != nullptr)
      parameters.values().copy_from(loaded(file, "values", parameters.values().dtype(), n));
    json = engine::read_file(folder + "/training.json", size_t(1) << 24);
  });
  communicator.broadcast(parameters.values());
  parameters.refresh_copies();
  size_t next = 0;
  for (const auto& [name, tensor] : optimizer.moments()) {
    shards.scatter(moments.empty() ? Tensor() : moments[next], tensor);
    ++next;
  }
  communicator.broadcast(counters);
  optimizer.set_counters(counters.to_vector());
  if (state.average.defined()) shards.scatter(average, state.average);
  const std::string path = folder + "/training.json";
  json = communicator.from_root(json);
  communicator.agree([&] { read_training_json(engine::parse_json(json, path), path, state, scaler); });
}

CheckpointQueue::~CheckpointQueue() { wait(); }

void CheckpointQueue::wait() {
  if (thread_.joinable()) thread_.join();
}

void CheckpointQueue::write(Snapshot snapshot, int64_t keep, int64_t keep_best) {
  const auto held = std::make_shared<const Snapshot>(std::move(snapshot));
  const auto work = [this, held, keep, keep_best] {
    std::string error;
    try {
      write_snapshot(*held, keep, keep_best);
    } catch (const std::exception& e) {
      error = e.what();
    }
    const std::lock_guard lock(mutex_);
    error_ = error;
  };
  try {
    thread_ = engine::start_thread(work);
  } catch (const engine::Error&) {  // then training waits for it
    work();
  }
}

std::string CheckpointQueue::take_error() {
  const std::lock_guard lock(mutex_);
  return std::exchange(error_, {});
}

}  // namespace train
