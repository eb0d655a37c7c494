// Read first: copy.h.
#include "engine/kernel/copy.h"

#include "engine/core/tensor.h"

namespace engine {

void Tensor::copy_from(const Tensor& source, bool accumulate) const {
  check(source.shape() == shape(), "copy: ", source.shape(), " into ", shape());
  check(!accumulate || (is_float(dtype()) && is_float(source.dtype())), "copy: cannot add ", source.dtype(),
        " to ", dtype());
  if (numel() == 0) return;
  ++storage()->version;
  const Tensor from = source.to(device());
  CopyArgs a{.from = from.raw(),
             .to = raw(),
             .from_dtype = from.dtype(),
             .to_dtype = dtype(),
             .rank = 0,
             .accumulate = accumulate};
  // Axes that follow one another in both are merged, so that what is contiguous becomes one long row.
  for (int i = 0; i < rank(); ++i) {
    const int64_t n = size(i), step = from.stride(i), to_step = stride(i);
    const int last = a.rank - 1;
    if (n == 1) continue;
    if (a.rank > 0 && a.from_stride[last] == n * step && a.to_stride[last] == n * to_step) {
      a.size[last] *= n, a.from_stride[last] = step, a.to_stride[last] = to_step;
    } else {
      a.size[a.rank] = n, a.from_stride[a.rank] = step, a.to_stride[a.rank++] = to_step;
    }
  }
  kernel::copy(device(), a);
}

}  // namespace engine
