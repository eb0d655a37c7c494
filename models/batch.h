// What one forward and backward of a model reads, prepared before the step: ids and labels checked, with the
// orders in which gradients of tables are summed. Nothing of it is read on the host afterwards, so a step can
// run on a device without waiting for it; data loading prepares it in its own thread.
// Read first: config.h, engine/ops/rows.h.
#pragma once

#include <vector>

#include "engine/ops/loss.h"
#include "models/config.h"

namespace models {

/// One batch of rows as it is given, unchecked. ids and types i32 [B, T]; key_mask u8 [B, T], 0 = padding;
/// types and key_mask may be undefined.
struct Tokens {
  engine::Tensor ids, types, key_mask;
};

/// The same as the model's tables read it.
struct InputRows {
  engine::Shape shape;         // [B, T]
  engine::Tensor key_mask;     // undefined: every key counts
  engine::RowIndex words;      // [B, T] into the token table; undefined with adaptive input
  engine::RowIndex positions;  // into the position table, where those are not the offset + 0, 1, 2, ...
  engine::RowIndex types;      // undefined without token types
  /// Adaptive input: the positions of [B T] whose ids lie in a band, and those ids counted from its first.
  struct Band {
    engine::RowIndex positions, words;
  };
  std::vector<Band> bands;

  InputRows to(engine::Device device) const;
};
/// Which row of a table of learned positions a token of a row with a key mask has: its place in the row,
/// padding included; or, as OPT's class in transformers has it, its place among the tokens that the mask
/// keeps, and what it does not keep the row before the first. The two differ where padding stands before a
/// token.
enum class PositionCount { from_start, by_mask };

/// `sums`: whether gradients will be asked for. Errors: ids or types outside their tables, shapes or dtypes that
/// do not fit.
InputRows input_rows(const ModelConfig& config, const Tokens& tokens, engine::Sums sums = engine::Sums::yes,
                     PositionCount count = PositionCount::from_start);

/// Labels as the model's loss reads them.
struct Targets {
  engine::ScoredRows scored;  // clm, mlm: of [B T]; adaptive softmax: labels of its head; classify: of [B]
  engine::Tensor values;      // classify with one class (regression): [B]
  /// Adaptive softmax, a tail band: the rows whose labels lie in it, and those labels counted from its first.
  struct Band {
    engine::RowIndex rows;
    engine::ScoredRows labels;
  };
  std::vector<Band> bands;

  Targets to(engine::Device device) const;
};
/// labels i32 [B, T] (-100: not scored); classify: [B], or targets [B] in floating point when classes is 1.
/// `vocabulary`: ids from here on are padding of the head; 0: none. Errors: labels outside, named.
Targets targets(const ModelConfig& config, const engine::Tensor& labels, int64_t vocabulary = 0);

}  // namespace models
