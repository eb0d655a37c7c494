// Read first: random.h.
#include "engine/ops/random.h"

#include <cmath>

#include "engine/ops/random_kernels.h"

namespace engine {

void fill_random(const Tensor& values, Law law, double scale, Rng& rng) {
  check(values.dtype() == DType::f32 || values.dtype() == DType::f64, "fill_random: draws f32 or f64, not ",
        values.dtype());
  check(values.is_contiguous(), "fill_random: values ", values.shape(), " must be contiguous");
  check(std::isfinite(scale), "fill_random: scale ", scale, " is not finite");
  const int64_t n = values.numel();
  const uint64_t offset = rng.reserve((uint64_t(n) + 3) / 4);
  kernel::random_fill(values.device(),
                      {values.raw(), n, values.dtype() == DType::f64, law, scale, rng.seed, offset});
}

}  // namespace engine
