// The one order in which gradients of several ranks and micro-batches are added: a binary tree over K leaves,
// first leaves l and l + P/2, then l and l + P/4, ..., where P is the smallest power of two that is at least
// K. A partner that is missing counts as absent, not as zero.
//
// Leaf l = i N + r is micro-batch i of rank r. The tree's first levels then lie within ranks, its last ones
// between ranks, and both parts are trees of this kind; so for powers of two the sum has the same bits for
// any number of ranks. Additions are in f32 (f64 in f64), 16-bit parts are widened before and rounded once,
// at the end; tiny numbers count as zero, as in kernels (engine/kernel/denormals.h).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/core/tensor.h"

namespace engine {

/// The tree over `count` arrays of n elements of a floating `dtype`, one after the other; the sum goes to
/// `target`, which may not overlap them. Host memory, in the calling thread.
void tree_sum(const char* parts, int count, int64_t n, DType dtype, char* target, DType target_dtype);

/// The tree over the k micro-batches of one rank, as a binary counter: they are worked through in the order
/// that order() gives, and after each of them the sums of levels that are complete are added.
class TreeCounter {
 public:
  explicit TreeCounter(int64_t k);
  int64_t size() const { return int64_t(order_.size()); }
  /// Which micro-batch comes in turn `turn`, 0 <= turn < k.
  int64_t batch(int64_t turn) const { return order_[size_t(turn)]; }
  /// The levels whose held sums are to be added to the gradients of turn `turn`, in this order.
  const std::vector<int>& adds(int64_t turn) const { return adds_[size_t(turn)]; }
  /// Where the result of a turn is held until it is needed; nothing after the last turn, whose result is the
  /// sum.
  std::optional<int> holds(int64_t turn) const { return holds_[size_t(turn)]; }
  /// How many sums are held at most.
  int levels() const { return levels_; }

 private:
  std::vector<int64_t> order_;
  std::vector<std::vector<int>> adds_;
  std::vector<std::optional<int>> holds_;
  int levels_ = 0;
};

}  // namespace engine
