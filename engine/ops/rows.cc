// Read first: rows.h, rows_kernels.h.
#include "engine/ops/rows.h"

#include "engine/ops/rows_kernels.h"
#include "engine/ops/view.h"

namespace engine {

RowIndex RowIndex::to(Device device) const {
  const auto moved = [&](const Tensor& t) { return t.defined() ? t.to(device) : t; };
  return {moved(ids), moved(order), moved(starts), rows};
}

RowIndex index_rows(const char* op, const Tensor& ids_in, int64_t rows, const char* what, Sums sums) {
  check_ids(op, ids_in, rows, what);
  RowIndex index{.ids = contiguous(ids_in.detach()), .rows = rows};
  if (sums == Sums::no) return index;
  const Tensor ids = index.ids.to(Device::cpu);
  const Tensor order = ids.like({ids.numel()}, DType::i32), starts = ids.like({rows + 1}, DType::i32);
  kernel::sort_rows(Device::cpu, {ids.data<int32_t>(), order.data<int32_t>(), starts.data<int32_t>(),
                                  ids.numel(), rows});
  index.order = order.to(index.ids.device()), index.starts = starts.to(index.ids.device());
  return index;
}

void check_ids(const char* op, const Tensor& ids, int64_t rows, const char* what) {
  check(ids.dtype() == DType::i32, op, ": ids must be i32, got ", ids.dtype());
  check(ids.numel() < (int64_t(1) << 31), op, ": too many ids: ", ids.shape());
  const Tensor host = contiguous(ids.detach()).to(Device::cpu);
  const int32_t* id = host.data<int32_t>();
  for (int64_t i = 0; i < ids.numel(); ++i)
    check(uint32_t(id[i]) < uint64_t(rows), op, ": id ", id[i], " at position ", i, " is outside ", what,
          " of ", rows);
}

}  // namespace engine
