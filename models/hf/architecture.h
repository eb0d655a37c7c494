// What Hugging Face's architectures look like to us: keys of config.json and names of tensors, as tables.
//
// A key's row reads it into a ModelConfig and writes it back. What our format cannot say is refused by the
// row that would have had to say it; what has no bearing on the numbers (dropout, token ids, ...) is listed
// as ignored; any other key is an error, unless it is private (_name) or null. Read first: config.h,
// name_map.h. The tables are files of their own, gpt.cc to qwen3.cc, and architectures.cc lists them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "models/batch.h"
#include "models/hf/name_map.h"

namespace models {

/// A value being read. `value` is what the key holds or, without it, the default of the architecture's
/// configuration class in transformers; `all` the whole config.json; `what` names file and key.
struct HfValue {
  const engine::Json& value;
  const engine::Json& all;
  std::string what;
};

/// Kept: the file's value is remembered for the way back, where it stands before what `write` says.
enum class Keep { no, yes };

struct HfKey {
  std::string name;
  /// No value: the key is required.
  std::optional<engine::Json> absent;
  std::function<void(ModelConfig&, const HfValue&)> read;
  /// The key is not written where this is empty or gives nothing.
  std::function<std::optional<engine::Json>(const ModelConfig&)> write;
  Keep keep = Keep::no;
};

struct HfArchitecture {
  std::string model_type, class_name;
  /// Of the base model inside the class with a head; files of the base model alone lack it.
  std::string prefix;
  /// What all models of this architecture have in common; keys fill in the rest.
  ModelConfig base;
  std::vector<HfKey> keys;           // in order: a row may use what earlier rows have read
  std::vector<std::string> ignored;  // keys, beside those of every architecture
  std::vector<NameRow> names;
  std::vector<DroppedRow> dropped;
  PositionCount position_count = PositionCount::from_start;  // of rows with a mask
};

/// All of them (architectures.cc); where several can say a model, the first is written.
const std::vector<HfArchitecture>& hf_architectures();

struct HfConfig {
  const HfArchitecture* architecture = nullptr;
  ModelConfig config;
  /// Keys without bearing on the numbers, and Keep::yes.
  engine::Json kept = engine::Json::object();
};

HfConfig read_hf_config(const engine::Json& json, const std::string& what);

/// The config.json of the architecture which, read back, gives this very model; with the `kept` keys of the
/// file that the model came from, if any. Error: no architecture can say the model; the nearest and where it
/// differs.
struct HfWritten {
  const HfArchitecture* architecture = nullptr;
  engine::Json json;
};
HfWritten write_hf_config(const ModelConfig& config, const engine::Json& kept);

// -------------------------------------------------------------------------------------------------
// rows

HfKey hf_size(const char* name, int64_t ModelConfig::*member);
/// A size that may be null, which leaves the model's own default. `absent`: of files without the key; 0:
/// null.
HfKey hf_default_size(const char* name, int64_t ModelConfig::*member, int64_t absent = 0);
/// Another name of the size that `key`, an earlier row, has read: both must agree.
HfKey hf_alias(const char* name, int64_t ModelConfig::*member, const char* key);
HfKey hf_number(const char* name, double ModelConfig::*member, double absent);
/// null: none.
HfKey hf_optional(const char* name, std::optional<double> ModelConfig::*member, double absent);
HfKey hf_flag(const char* name, bool ModelConfig::*member, bool absent);
/// Any value but this one is refused; `why` says what our format lacks. null stands for false too. Kept.
HfKey hf_only(const char* name, engine::Json value, const char* why);
struct HfWord {
  const char* theirs;
  nn::Activation ours;
};
/// The first row of an activation is the one that is written, of a model that came with no word. Kept.
HfKey hf_activation(const char* name, const std::vector<HfWord>& words, const char* absent);
const std::vector<HfWord>& plain_activations();  // act(up)
const std::vector<HfWord>& gated_activations();  // act(gate) * up

template <class Row>
std::vector<Row> hf_joined(std::vector<Row> rows, const std::vector<Row>& more) {
  rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

}  // namespace models
