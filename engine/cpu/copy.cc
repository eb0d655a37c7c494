// Read first: copy.h.
#include "engine/cpu/copy.h"

namespace engine {

void copy_elements(const Tensor& from, const Tensor& to, bool accumulate) {
  check(from.shape() == to.shape(), "copy: ", from.shape(), " into ", to.shape());
  CopyArgs a{.from = from.raw(),
             .to = to.raw(),
             .from_dtype = from.dtype(),
             .to_dtype = to.dtype(),
             .rank = 0,
             .accumulate = accumulate};
  // Axes that follow one another in both are merged, so that what is contiguous becomes one long row.
  for (int i = 0; i < from.rank(); ++i) {
    const int64_t n = from.size(i), step = from.stride(i), to_step = to.stride(i);
    const int last = a.rank - 1;
    if (n == 1) continue;
    if (a.rank > 0 && a.from_stride[last] == n * step && a.to_stride[last] == n * to_step) {
      a.size[last] *= n, a.from_stride[last] = step, a.to_stride[last] = to_step;
    } else {
      a.size[a.rank] = n, a.from_stride[a.rank] = step, a.to_stride[a.rank++] = to_step;
    }
  }
  if (from.numel() == 0) return;
  ++to.storage()->version;
  cpu::copy(a);
}

}  // namespace engine
