// What the probes print: JSON with lists in layer order, and tables with a line a layer.
#pragma once

#include "engine/base/json.h"
#include "train/probes/attention_probe.h"
#include "train/probes/gradient_trace.h"

namespace train {

/// {"w2_grad": [...], "grad_norm": [...], "parameters": [{...}, ...]}: lists over layers.
engine::Json gradients_json(const std::vector<LayerGradient>& layers);
void print_gradients(const std::vector<LayerGradient>& layers);
/// w2_grad of the first layer over that of the last.
double ratio_first_last(const std::vector<LayerGradient>& layers);

/// "gains": an object each; "means": for each name the means in layer order, null where a layer lacks it.
engine::Json gains_json(const std::vector<LayerGain>& gains, int64_t layers);
void print_gains(const std::vector<LayerGain>& gains);

engine::Json attention_json(const std::vector<LayerAttention>& layers);
void print_attention(const std::vector<LayerAttention>& layers);

}  // namespace train
