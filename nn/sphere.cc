// Read first: sphere.h.
#include "nn/sphere.h"

#include "engine/ops/elementwise.h"
#include "engine/ops/norm.h"

namespace nn {
Tensor unit(const Tensor& x, int64_t groups) {
  const Tensor ones =
      engine::constant({x.size(-1) / groups}, 1, engine::compute_dtype(x.dtype()), x.device());
  return engine::norm(x, {.kind = engine::NormKind::l2, .weight = ones, .eps = 1e-30, .groups = groups},
                      x.dtype());
}

Tensor sphere_step(const Tensor& h, const Tensor& branch, Parameter& step, double factor) {
  const Tensor a = unit(h);
  const Tensor towards = engine::sub(engine::cast(unit(branch), a.dtype()), a);
  const Tensor size = engine::affine(engine::abs(use(step)), factor);
  return unit(engine::add(a, engine::mul(engine::cast(size, a.dtype()), towards)));
}

}  // namespace nn
