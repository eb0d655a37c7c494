// What the static probes look at: a saved model on given rows. Read first: layer_values.h,
// gradient_trace.h, models/token_file.h.
#pragma once

#include <string>
#include <vector>

#include "models/token_file.h"
#include "train/open_model.h"
#include "train/probes/attention_probe.h"
#include "train/probes/gradient_trace.h"

namespace train {

/// The rows of one update, in micro-batches.
using ProbeRows = std::vector<models::TokenBatch>;

/// From a file of `normlab forward --tokens`.
ProbeRows rows_of_file(const OpenModel& open, const std::string& path);
/// The first `rows` rows of token shards, as in validation, `batch` at a time. A masked LM's masks are those
/// of seed 1.
ProbeRows rows_of_shards(const OpenModel& open, const std::string& path, int64_t rows, int64_t batch);

/// Loss and gradients of the mean loss over the scored positions of all rows; dropout is off, and auxiliary
/// losses of routers do not count. The gradient arena keeps their sums: times 1 / scored_positions(rows) they
/// are those of the mean.
GradientRecord gradients_on(models::Transformer& model, const ProbeRows& rows, int64_t vocabulary);
int64_t scored_positions(const ProbeRows& rows);

std::vector<LayerAttention> attention_on(const models::Transformer& model, const ProbeRows& rows);

}  // namespace train
