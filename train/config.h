// The training config of a run: plain structs, one table of their fields (config_fields.cc), and what the
// table drives: reading JSON, --set overrides, the fully resolved JSON that a run keeps, the keys that
// `normlab train --help` lists.
//
// A key is given by its full path, "optim.lr". Everything has a default but `model` and the data folders. 0
// means "off" or "no limit" where a number could be absent. `model` stays JSON here: the models box resolves
// it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/json.h"
#include "engine/core/device.h"

namespace train {

enum class Sampler : uint8_t { blocks, random_crop, mlm };
enum class RowOrder : uint8_t { shuffled, file };
enum class OptimizerKind : uint8_t { adamw, adam, nag, sgd };
enum class DecayGroup : uint8_t { matrices, all, no_norm_no_embedding, no_embedding };
enum class ScheduleKind : uint8_t { linear, cosine, polynomial, inverse_sqrt, constant, wsd, ramp };
enum class Counting : uint8_t { split, completed, current };
enum class DecayShape : uint8_t { linear, sqrt, cosine };
enum class PrecisionKind : uint8_t { f32, bf16, f16 };
enum class SumOrder : uint8_t { fast, tree };

struct DataConfig {
  std::string tokenizer, train, valid;
  Sampler sampler = Sampler::blocks;
  RowOrder order = RowOrder::shuffled;
  int64_t context = 0;  // 0: the model's
  int64_t batch = 8, accumulate = 1;
  double mask_probability = 0.15, mask_keep = 0.1, mask_random = 0.1;
  bool whole_words = false;
};

struct OptimConfig {
  OptimizerKind name = OptimizerKind::adamw;
  double lr = 1e-3;
  std::array<double, 2> betas = {0.9, 0.95};
  double momentum = 0.99;
  double eps = 1e-8;
  double weight_decay = 0.1;
  DecayGroup decay = DecayGroup::matrices;
  double clip = 1.0;
};

struct ScheduleConfig {
  ScheduleKind name = ScheduleKind::cosine;
  Counting counting = Counting::split;
  int64_t warmup = 0;
  double warmup_from = 0, min_lr = 0;
  int64_t steps = 0;
  double power = 1;
  int64_t period = 0;
  double period_factor = 1, shrink = 1;
  double decay_fraction = 0.2;
  DecayShape decay_shape = DecayShape::linear;
  double ramp_step = 5e-5;
};

struct LossScaleConfig {
  double init = 128;
  int64_t window = 0;
  double factor = 2, floor = 0, min = 1e-4, tolerance = 0;
  bool memory_efficient = false;
};

struct DropoutConfig {
  double residual = 0, attention = 0, activation = 0, head = 0;
};

struct BudgetConfig {
  int64_t steps = 0, tokens = 0;
  double epochs = 0, seconds = 0;
};

struct EvalConfig {
  int64_t every = 0, batches = 0, patience = 0;
};

struct CheckpointConfig {
  int64_t every = 0, keep = 2, keep_best = 1;
  double seconds = 0;
};

struct LogConfig {
  int64_t every = 10, layers = 0, samples = 0;
  bool tensorboard = true;
};

struct EmaConfig {
  double decay = 0;
};

struct ParallelConfig {
  int64_t zero = 0;
  SumOrder sum = SumOrder::fast;
  double bucket_mib = 32;
  double timeout = 600;
  bool check = false;
};

struct TrainConfig {
  engine::Json model = engine::Json::object();
  std::string from;
  DataConfig data;
  OptimConfig optim;
  ScheduleConfig schedule;
  PrecisionKind precision = PrecisionKind::f32;
  LossScaleConfig loss_scale;
  DropoutConfig dropout;
  std::string init;
  BudgetConfig budget;
  EvalConfig eval;
  CheckpointConfig checkpoint;
  LogConfig log;
  EmaConfig ema;
  ParallelConfig parallel;
  bool activation_checkpointing = false;
  int64_t seed = 1;
  int64_t threads = 0;
  engine::Device device = engine::Device::cpu;
};

// --- the table
// ------------------------------------------------------------------------------------------------------

/// An enum of one byte and the words of its values in order.
struct Choice {
  uint8_t* value;
  std::vector<std::string> words;
};

/// Where a field's value lives inside one TrainConfig.
using FieldValue =
    std::variant<bool*, int64_t*, double*, std::string*, std::array<double, 2>*, Choice, engine::Json*>;

struct Range {
  double low = 0, high = 1e15;
};

/// One key of the config: its path, where it lives, what it may be, and one line for --help.
struct Field {
  std::string path;
  FieldValue value;
  Range range;
  std::string doc;
};

/// The rows, bound to `config`, in the order in which they are written.
std::vector<Field> config_fields(TrainConfig& config);

// --- what it drives
// -------------------------------------------------------------------------------------------------

/// Reads a config; `what` names the source in errors. Unknown keys are errors that name the nearest valid
/// one.
/// `overrides`: "a.b=c" that were applied to `json`; an error in one of their values blames the override.
/// Rules::single_keys leaves out what concerns several keys: of a config that is not whole yet.
enum class Rules { all, single_keys };
TrainConfig parse_config(const engine::Json& json, const std::string& what,
                         const std::vector<std::string>& overrides = {}, Rules rules = Rules::all);
/// Reads a config file ("" for none) and applies overrides "a.b=c" in order. Every value is checked once, at
/// the end.
TrainConfig load_config(const std::string& path, const std::vector<std::string>& overrides);
/// The config file's JSON; an empty object for "".
engine::Json read_config_json(const std::string& path);
/// Sets one key in config JSON from "a.b=c"; c is JSON, or text where the key holds text. Numbers may end in
/// k, M or G, those of seconds in s, m, h or d; a list may go without brackets.
void apply_override(engine::Json& json, const std::string& override_text);
/// "f32", "bf16", "f16".
std::string precision_name(const TrainConfig& config);
/// Every key with its value; parse_config of it gives the same config.
engine::Json config_json(const TrainConfig& config);
/// The documented keys, as the notes of `normlab train --help`.
std::string config_help();
/// Every key of the config, and of its model as model.NAME, with what --help says about it.
std::vector<std::pair<std::string, std::string>> config_key_docs();

}  // namespace train
