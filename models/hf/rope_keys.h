// Rotary positions in config.json, which has said them in three ways: "rope_theta" and "rope_scaling" before
// transformers 5, {"rope_parameters": {"rope_theta": ..., "rope_type": ...}} since, and GPT-NeoX's own names.
// Both generations are written, so that either reads the same angles. Read first: architecture.h,
// models/rope_scaling.h.
#pragma once

#include "models/hf/architecture.h"

namespace models {

/// Rows for rope_theta, rope_parameters and rope_scaling; after those of the sizes and of the context.
/// `theta`: of files that name none. What is not plain becomes a RopeScaling; "dynamic" is plain up to the
/// context, so such a model is read with longest_row there, and back; other types are refused.
std::vector<HfKey> hf_rope_keys(double theta);

/// The object that says a config's angles: {"rope_theta", "rope_type", ...}.
engine::Json hf_rope_parameters(const ModelConfig& config);
/// Reads such an object, or one under its older name. `partial`: "partial_rotary_factor" may be below 1.
void read_hf_rope(ModelConfig& config, const HfValue& value, bool partial);

}  // namespace models
