// What the probes print: JSON with lists in layer order, and tables with a line a layer. A number that does
// not exist is null in JSON and a dash in a table.
#pragma once

#include <cstdio>

#include "engine/base/json.h"
#include "train/probes/attention_probe.h"
#include "train/probes/gradient_trace.h"

namespace train {

/// A number in a table's cell, by a format of printf.
std::string table_cell(double x, const char* format);

/// {"w2_grad": [...], "grad_norm": [...], "parameters": [{...}, ...]}: lists over layers.
engine::Json gradients_json(const std::vector<LayerGradient>& layers);
void print_gradients(const std::vector<LayerGradient>& layers, FILE* to = stdout);
/// w2_grad of the first layer over that of the last.
double ratio_first_last(const std::vector<LayerGradient>& layers);

/// "gains": an object each; "means": for each name the means in layer order, null where a layer lacks it.
engine::Json gains_json(const std::vector<LayerGain>& gains, int64_t layers);
void print_gains(const std::vector<LayerGain>& gains, FILE* to = stdout);

engine::Json attention_json(const std::vector<LayerAttention>& layers);
void print_attention(const std::vector<LayerAttention>& layers, FILE* to = stdout);

}  // namespace train
