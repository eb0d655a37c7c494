// Ids of the rows of a table: checked once, and in the order in which sums over equal ones are formed. Used by
// embedding.h, routing.h and loss.h.
#pragma once

#include "engine/core/tensor.h"

namespace engine {

/// Ids that were checked, which ops therefore never read on the host: made where the ids are known (for a
/// batch, before the step), then only passed on. Positions with id v are
/// order[starts[v] .. starts[v + 1]), ascending: gradients of a table are summed in that order.
struct RowIndex {
  Tensor ids;            // i32, any shape, each in [0, rows)
  Tensor order, starts;  // i32 [ids], [rows + 1]; undefined where no gradient will be asked for
  int64_t rows = 0;      // of the table

  bool defined() const { return ids.defined(); }
  /// The same on `device`.
  RowIndex to(Device device) const;
};

enum class Sums { no, yes };  // whether a RowIndex has the order of sums

/// Checks `ids` on the host (they are copied there from another device) and sorts them. The index is on the
/// device of the ids. Error unless they are i32 and in [0, rows): names the op, the id, its position and
/// `what` it indexes.
RowIndex index_rows(const char* op, const Tensor& ids, int64_t rows, const char* what, Sums sums = Sums::yes);

/// Error: floating, outside i32, and so on, as index_rows(); for ids that need no index.
void check_ids(const char* op, const Tensor& ids, int64_t rows, const char* what);

}  // namespace engine
