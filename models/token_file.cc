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
  if (!labels.empty()) batch.labels = Tensor::from_ids(labels, shape);
  return batch;
}

}  // namespace models
