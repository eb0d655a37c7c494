// Batches for training and validation: what a row holds (Rows), in which order rows come (BatchSource), where
// we are in that order (BatchPosition). Nothing here knows about tensors.
//
// A training run is one endless sequence of rows: epoch 0's rows in a seeded random order, then epoch 1's,
// ... Rank r of W takes rows [(s*W + r)*B, (s*W + r + 1)*B) as its s-th batch of B. So the position of a
// whole run is one number, the rows that all ranks have consumed together; it means the same for any number
// of ranks, and k micro-batches on one rank are the same rows as one micro-batch on each of k ranks.
//
// Read next: clm_rows.h and mlm_rows.h (rows), shuffle.h (the order), prefetch.h (a thread in front).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/json.h"

namespace data {

constexpr int32_t kNotScored = -100;  // the label of a position that adds nothing to the loss

struct Batch {
  int64_t rows = 0, length = 0;
  std::vector<int32_t> ids;             // [rows, length]
  std::vector<int32_t> labels;          // [rows, length], at the position that predicts them, or kNotScored
  std::vector<uint8_t> attention_mask;  // [rows, length], 0: not attended to; empty when all ones
  int64_t scored = 0;                   // labels that are not kNotScored
};

/// Where a run stands: all that a checkpoint keeps of the data order.
struct BatchPosition {
  int64_t rows = 0;  // consumed by all ranks together since the start of epoch 0
  int64_t fingerprint =
      0;  // of the rows and their order; seek() refuses another one's position. 0: not checked

  bool operator==(const BatchPosition&) const = default;
};
engine::Json to_json(const BatchPosition& position);
BatchPosition position_from_json(const engine::Json& json, const std::string& what);

/// The spans that one row is written to.
struct RowView {
  std::span<int32_t> ids, labels;
  std::span<uint8_t> mask;
};

/// A data set as rows of one length: a pure function of (epoch, index), so that nothing needs to be
/// remembered.
class Rows {
 public:
  virtual ~Rows() = default;
  /// Rows in one epoch.
  virtual int64_t count() const = 0;
  virtual int64_t length() const = 0;
  /// Writes every element of `row`.
  virtual void fill(int64_t epoch, int64_t index, const RowView& row) const = 0;
  /// A number below 2^53 that differs when the rows differ: what BatchPosition carries.
  virtual int64_t fingerprint() const = 0;
  /// Does a padded position have to be masked out? Not under a causal mask: padding is on the right and not
  /// scored.
  virtual bool needs_mask() const { return false; }
};

/// An endless sequence of batches for one rank.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual Batch next() = 0;
  /// After the batches that next() has returned.
  virtual BatchPosition position() const = 0;
  virtual void seek(const BatchPosition& position) = 0;
  /// Rows in one epoch, over all ranks; position().rows / rows_per_epoch() is the epoch.
  virtual int64_t rows_per_epoch() const = 0;
};

enum class Order { shuffled, sequential };

struct BatchOptions {
  int64_t batch = 1;  // rows in a batch of one rank
  int64_t rank = 0, world = 1;
  uint64_t seed = 0;
  Order order = Order::shuffled;
};
std::unique_ptr<BatchSource> make_batches(std::shared_ptr<const Rows> rows, const BatchOptions& options);

/// Every row of epoch 0 once, in order; the last batch has the rows that are left. For validation: the same
/// batches on every call, for any seed.
class ValidationBatches {
 public:
  ValidationBatches(std::shared_ptr<const Rows> rows, int64_t batch);
  int64_t count() const;
  Batch at(int64_t index) const;
  int64_t fingerprint() const { return rows_->fingerprint(); }

 private:
  std::shared_ptr<const Rows> rows_;
  int64_t batch_;
};

}  // namespace data
