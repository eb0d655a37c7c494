// Parameter: a named, learned tensor. Its value, what ops read, and its gradient are slices of flat arenas
// that the module layer lays out (nn/parameters.h); the tape only needs to know where the gradient goes.
#pragma once

#include <string>

#include "engine/core/tensor.h"

namespace engine {

struct Parameter {
  std::string name;  // path, as in model files: layers.3.attn.q_norm.weight
  Tensor value;      // what the optimizer changes: f32 (f64 when checking; f16 under memory-efficient fp16)
  Tensor compute;    // what ops read: `value` itself, or its copy in the compute dtype
  Tensor grad;       // slice of the gradient arena; same shape as value
  bool grad_written =
      false;  // false: the slice holds garbage, and the first write replaces it instead of adding

  // The tape's notes: the slot of this parameter on the tape that used it last.
  Slot slot;
};

/// The tensor that ops read, known to the current tape (if any) as a leaf whose gradient goes to
/// parameter.grad.
Tensor use(Parameter& parameter);
/// The same leaf, read in the precision of its value: for ops that need no copy in the compute dtype (table
/// lookups).
Tensor use_value(Parameter& parameter);

}  // namespace engine
