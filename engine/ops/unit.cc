// Read first: unit.h, unit_kernels.h.
#include "engine/ops/unit.h"

#include "engine/base/check.h"
#include "engine/ops/unit_kernels.h"

namespace engine {

void make_unit(const Tensor& x, Lines lines) {
  check(is_float(x.dtype()) && (x.rank() == 2 || x.rank() == 3) && x.is_contiguous(),
        "make_unit: needs contiguous floating matrices, got ", x.dtype(), " ", x.shape());
  ++x.storage()->version;
  if (x.numel() == 0) return;
  kernel::make_unit(x.device(), {x.raw(), x.rank() == 3 ? x.size(0) : 1, x.size(-2), x.size(-1), x.dtype(),
                                 lines == Lines::columns});
}

}  // namespace engine
