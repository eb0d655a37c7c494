// Kernel arguments of routing.h's route_top_k (rows_kernels.h has those of gather_rows and scatter_rows).
#pragma once

#include "engine/core/dtype.h"
#include "engine/kernel/kernel.h"

namespace engine {

/// chosen[t, j] = the expert with the (j + 1)-th largest probability of token t, ties to the lower index.
struct ChooseExperts {
  const void* probabilities;  // [tokens, experts]
  int32_t* chosen;            // [tokens, k]
  int64_t tokens, experts, k;
  DType dtype;
};

/// The choices in order of their experts are the slots. weights[slot] = p / s of a token's k choices, s their
/// sum when `normalize`, else 1.
struct RouteForward {
  const void* probabilities;
  const int32_t* chosen;   // [tokens, k]
  const int32_t* choices;  // [slots]: choices as sort_rows() orders them by expert; slots = tokens k
  const int32_t* offsets;  // [experts + 1]: where each expert's begin
  int32_t* slots;          // [tokens, k]: where each choice stands in that order
  int32_t* rows;           // [slots]: the token of each slot
  int32_t* order;          // [slots]: each token's slots, ascending
  int32_t* starts;         // [tokens + 1]: where they begin: token t has order[t k .. (t + 1) k)
  void* weights;           // [slots]
  void* share;             // [experts]: of the slots, those that are the expert's
  int64_t tokens, experts, k;
  DType dtype;
  bool normalize;
};

struct RouteBackward {
  const void* probabilities;
  const int32_t* chosen;
  const int32_t* slots;
  const void* dweights;
  void* dprobabilities;
  int64_t tokens, experts, k;
  DType dtype;
  bool normalize, accumulate;
};

ENGINE_KERNEL(choose_experts, ChooseExperts)
ENGINE_KERNEL(route_forward, RouteForward)
ENGINE_KERNEL(route_backward, RouteBackward)

}  // namespace engine
