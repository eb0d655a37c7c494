// Read first: token_file.h.
#include "models/token_file.h"

#include "engine/ops/loss.h"

namespace models {

using engine::check;
using engine::DType;
using engine::Json;
using engine::Shape;

namespace {

// A list of equally long lists of integers in [low, high].
std::vector<int32_t> matrix(const Json& value, Shape& shape, int64_t low, int64_t high,
                            const std::string& what) {
  check(value.is_array() && !value.empty() && value[0].is_array(), what, ": expected a list of rows");
  const size_t T = value[0].size();
  check(T > 0, what, ": rows are empty");
  std::vector<int32_t> out;
  for (size_t b = 0; b < value.size(); ++b) {
    check(value[b].is_array() && value[b].size() == T, what, ": row ", b, " differs in length from row 0 (",
          T, ")");
    for (size_t t = 0; t < T; ++t)
      out.push_back(
          int32_t(engine::json_int(value[b][t], engine::join_text(what, "[", b, "][", t, "]"), low, high)));
  }
  const Shape found = {int64_t(value.size()), int64_t(T)};
  check(shape.rank() == 0 || shape == found, what, ": is ", found, ", input_ids is ", shape);
  shape = found;
  return out;
}

// The labels of a classifier, which predicts at the first position of a row: a list with one label a row, or
// rows like those of input_ids with -100 everywhere else. classes 1: numbers (regression), in f64.
Tensor class_labels(const Json& value, const Shape& ids, const ModelConfig& config, const std::string& what,
                    int64_t& scored) {
  const int64_t rows = ids[0], T = ids[1];
  check(value.is_array() && int64_t(value.size()) == rows, what, ": expected ", rows,
        " labels, one for each row of input_ids");
  const auto label_of = [&](const Json& label, const std::string& name) {
    if (config.classes == 1) return engine::json_number(label, name);
    const int64_t id = engine::json_int(label, name, engine::kNotScored, config.classes - 1);
    check(id >= 0 || id == engine::kNotScored, name, " is ", id, "; expected a class below ", config.classes,
          " or -100");
    return double(id);
  };
  std::vector<double> labels;
  for (int64_t b = 0; b < rows; ++b) {
    const Json& row = value[size_t(b)];
    const std::string name = engine::join_text(what, "[", b, "]");
    if (!row.is_array()) {
      labels.push_back(label_of(row, name));
    } else {
      check(int64_t(row.size()) == T, name, ": has ", row.size(), " labels, its row of input_ids has ", T);
      labels.push_back(label_of(row[0], name + "[0]"));
      for (int64_t t = 1; t < T; ++t)
        check(row[size_t(t)] == engine::kNotScored, name, "[", t,
              "]: only the first position of a classifier's row is scored; expected -100");
    }
    scored += config.classes == 1 || labels.back() != engine::kNotScored;
  }
  return Tensor::from(labels, {rows}, config.classes == 1 ? DType::f64 : DType::i32);
}

}  // namespace

TokenBatch token_batch(const Json& json, const ModelConfig& config, const std::string& what) {
  engine::check_keys(json, {"input_ids", "labels", "attention_mask", "token_type_ids"}, what);
  check(json.contains("input_ids"), what, ": no \"input_ids\"");
  Shape shape;
  const std::vector<int32_t> ids =
      matrix(json["input_ids"], shape, 0, config.vocab_size - 1, what + ": input_ids");
  TokenBatch batch;
  batch.tokens.ids = Tensor::from_ids(ids, shape);
  std::vector<int32_t> mask;
  if (json.contains("attention_mask")) {
    mask = matrix(json["attention_mask"], shape, 0, 1, what + ": attention_mask");
    batch.tokens.key_mask = Tensor::from({mask.begin(), mask.end()}, shape, DType::u8);
  }
  if (json.contains("token_type_ids")) {
    check(config.token_types > 0, what, ": token_type_ids given, but the model has no token types");
    batch.tokens.types = Tensor::from_ids(
        matrix(json["token_type_ids"], shape, 0, config.token_types - 1, what + ": token_type_ids"), shape);
  }

  if (config.objective == Objective::classify) {
    if (json.contains("labels"))
      batch.labels = class_labels(json["labels"], shape, config, what + ": labels", batch.scored);
    return batch;
  }
  std::vector<int32_t> labels;
  const int64_t T = shape[1];
  if (json.contains("labels")) {
    labels = matrix(json["labels"], shape, engine::kNotScored, config.vocab_size - 1, what + ": labels");
    for (size_t i = 0; i < labels.size(); ++i)
      check(labels[i] >= 0 || labels[i] == engine::kNotScored, what, ": labels[", i / size_t(T), "][",
            i % size_t(T), "] is ", labels[i], "; expected an id or -100");
  } else if (config.objective == Objective::clm) {
    labels.assign(ids.size(), engine::kNotScored);
    for (size_t i = 0; i + 1 < ids.size(); ++i)
      if (int64_t(i + 1) % T != 0 && (mask.empty() || mask[i + 1])) labels[i] = ids[i + 1];
  }
  for (int32_t label : labels) batch.scored += label != engine::kNotScored;
  // Rows of one token have logits, but no next token.
  if (!labels.empty() && (batch.scored > 0 || json.contains("labels")))
    batch.labels = Tensor::from_ids(labels, shape);
  return batch;
}

}  // namespace models
