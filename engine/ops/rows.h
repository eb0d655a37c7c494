// Indices of rows: checked, and in the order in which sums over equal ones are formed. Used by embedding.h
// and routing.h.
#pragma once

#include "engine/core/tensor.h"

namespace engine {

/// Ids in [0, rows) sorted by value, stable: positions with id v are order[starts[v] .. starts[v + 1]).
struct RowOrder {
  Tensor order, starts;
};
RowOrder sort_rows(const Tensor& ids, int64_t rows);

/// Ids that were checked, and their order: what embedding() and gather_rows() take without asking the host.
/// All three on one device.
struct CheckedIds {
  Tensor ids;
  RowOrder order;
  int64_t rows = 0;
};
CheckedIds checked_ids(const char* op, const Tensor& ids, int64_t rows, const char* what);

/// Error unless ids is i32 and every id is in [0, rows): names the id, its position and what it indexes.
void check_ids(const char* op, const Tensor& ids, int64_t rows, const char* what);

}  // namespace engine
