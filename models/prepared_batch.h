// A batch with all that ops would otherwise look up on the host while a step runs: ids checked and in the
// order in which gradients of equal ones are added, positions, the rows that are scored. Made on the host,
// then moved as a whole, so that a step on a device neither asks the host nor waits for it.
#pragma once

#include <vector>

#include "engine/ops/loss.h"
#include "engine/ops/rows.h"

namespace models {

struct PreparedBatch {
  engine::CheckedIds ids, types, positions;  // the latter two undefined where the model has none
  engine::Tensor key_mask;
  engine::CheckedIds masked;  // masked LM: the positions that its head sees
  engine::ScoredRows scored;  // of those, or of all positions

  /// Calls f with every tensor that is there, always in one order.
  template <class F>
  void each(F&& f) {
    for (engine::CheckedIds* c : {&ids, &types, &positions, &masked})
      for (engine::Tensor* t : {&c->ids, &c->order.order, &c->order.starts}) f(*t);
    for (engine::Tensor* t : {&key_mask, &scored.rows, &scored.order, &scored.starts, &scored.labels}) f(*t);
  }
  PreparedBatch to(engine::Device device) const {
    PreparedBatch moved = *this;
    moved.each([&](engine::Tensor& t) { t = t.to(device); });
    return moved;
  }
};

}  // namespace models
