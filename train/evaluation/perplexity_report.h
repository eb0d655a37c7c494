// What `eval ppl` reports of a model on a text, as JSON and as a table. Read first: perplexity.h, material.h.
#pragma once

#include <string>

#include "data/documents.h"
#include "engine/base/json.h"
#include "train/open_model.h"

namespace train {

struct PerplexityRequest {
  std::string data;  // shards or text (material.h)
  data::ReadOptions read;
  bool strided = false;
  int64_t context = 0, stride = 0;  // 0: the model's context, half of it
  int64_t batch = 8;
  uint64_t seed = 1;  // of a masked LM's masks
  std::string precision = "f32";
};

/// {command, version, model, data, kind, objective, precision, context, window, stride, results: [{...}]};
/// `seconds` is the command's to say.
engine::Json perplexity_report(const OpenModel& open, const PerplexityRequest& request);
std::string perplexity_table(const engine::Json& report);

}  // namespace train
