// Names and layouts of another framework's tensors as data: rows that say where each of our tensors lies over
// there.
//
// A row reads both ways. Towards us, parts are loaded and joined; away from us, a tensor (or its gradient) is
// taken apart into views. Every tensor of a foreign file is therefore either part of a row, or dropped for a
// reason that a DroppedRow states, or unknown, which is an error. Read first: parameter_list.h. Used by:
// import.cc, convert.cc.
#pragma once

#include <string>
#include <vector>

#include "engine/io/safetensors.h"
#include "models/config.h"

namespace models {

using engine::Shape;
using engine::Tensor;

/// How parts become our tensor. same: one part as it is. transposed: matrices lie [in, out] (GPT-2's Conv1D).
/// qkv_rows: the rows of q, k and v, one part each. qkv_by_head: one part, rows of the first head's q, k and
/// v, then the second's, ...; where only the first rope_width rows of a head turn, in pairs (i, i +
/// rope_width/2) (GPT-NeoX), q and k are put in the order of our pairs. experts: one matrix an expert,
/// stacked.
enum class Layout { same, transposed, qkv_rows, qkv_by_head, experts };

/// Names have holes: {N} is the layer, {E} the expert (parts only). A row that ends in ".*" is a module: its
/// weight and its bias alike.
///   {"layers.{N}.attn.qkv.*", {"h.{N}.attn.c_attn.*"}, Layout::transposed}
struct NameRow {
  std::string ours;
  std::vector<std::string> theirs;
  Layout layout = Layout::same;
  std::string untied = {};  // what the one part is called where the head is not tied; empty: the same
};

/// A foreign tensor that we have no use for. With `copy_of` it must be, bit for bit, that other foreign
/// tensor; a `stand_in` may differ, counts where that one is missing, and is written beside it for versions
/// that read either.
struct DroppedRow {
  std::string theirs, reason, copy_of;
  bool stand_in = false;
};

/// One of our tensors with the holes filled in.
struct Part {
  std::string name;
  Shape shape;
};
struct MappedTensor {
  std::string name;
  Shape shape;
  Layout layout = Layout::same;
  std::vector<Part> parts;
  std::vector<int64_t> rows;  // qkv_by_head: our row i is their row rows[i]
};

/// Every parameter of `config` with its parts, in the order of parameter_list(). Error: a parameter that no
/// row names.
std::vector<MappedTensor> map_tensors(const std::vector<NameRow>& rows, const ModelConfig& config);

/// The row for a foreign name, or null.
const DroppedRow* find_dropped(const std::vector<DroppedRow>& rows, const std::string& name);

/// Parts, in the order of `mapped.parts` and of one dtype, to a tensor of ours.
Tensor join_parts(const MappedTensor& mapped, const std::vector<Tensor>& parts);
/// The inverse: named tensors, views of `ours` except under qkv_by_head.
engine::NamedTensors take_apart(const MappedTensor& mapped, const Tensor& ours);

}  // namespace models
