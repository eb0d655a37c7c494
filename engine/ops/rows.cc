// Read first: rows.h. Counting sort of ids: O(ids + rows), on one thread (a few microseconds per
// thousand).
#include "engine/ops/rows.h"

#include <utility>

namespace engine {

RowOrder sort_rows(const Tensor& ids, int64_t rows) {
  assert(ids.is_contiguous());
  const int64_t n = ids.numel();
  const Tensor host = ids.to(Device::cpu);
  const RowOrder sorted = {host.like({n}, DType::i32), host.like({rows + 1}, DType::i32, Contents::zeros)};
  const int32_t* id = host.data<int32_t>();
  int32_t *order = sorted.order.data<int32_t>(), *starts = sorted.starts.data<int32_t>();
  for (int64_t i = 0; i < n; ++i) ++starts[id[i]];
  int32_t total = 0;
  for (int64_t v = 0; v <= rows; ++v) total += std::exchange(starts[v], total);
  for (int64_t i = 0; i < n; ++i) order[starts[id[i]]++] = int32_t(i);
  for (int64_t v = rows; v > 0; --v) starts[v] = starts[v - 1];  // they have moved to the next row's start
  starts[0] = 0;
  return {sorted.order.to(ids.device()), sorted.starts.to(ids.device())};
}

CheckedIds checked_ids(const char* op, const Tensor& ids, int64_t rows, const char* what) {
  check_ids(op, ids, rows, what);
  return {ids, sort_rows(ids, rows), rows};
}

void check_ids(const char* op, const Tensor& ids, int64_t rows, const char* what) {
  check(ids.dtype() == DType::i32, op, ": ids must be i32, got ", ids.dtype());
  check(ids.numel() < (int64_t(1) << 31), op, ": too many ids: ", ids.shape());
  const Tensor host = ids.to(Device::cpu);
  const int32_t* id = host.data<int32_t>();
  for (int64_t i = 0; i < ids.numel(); ++i)
    check(uint32_t(id[i]) < uint64_t(rows), op, ": id ", id[i], " at position ", i, " is outside ", what,
          " of ", rows);
}

}  // namespace engine
