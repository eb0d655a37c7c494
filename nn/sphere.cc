// Read first: sphere.h.
#include "nn/sphere.h"

#include "engine/ops/elementwise.h"
#include "engine/ops/norm.h"

namespace nn {
namespace {

// |x| for learned steps: x times its sign, which is a constant of the differentiation.
Tensor absolute(const Tensor& x) {
  std::vector<double> signs = x.to_vector();
  for (double& s : signs) s = s < 0 ? -1 : 1;
  return engine::mul(x, Tensor::from(signs, x.shape(), x.dtype()).to(x.device()));
}

}  // namespace

Tensor unit(const Tensor& x, int64_t groups) {
  const Tensor ones = Tensor::full({x.size(-1) / groups}, 1, engine::compute_dtype(x.dtype()), x.device());
  return engine::norm(x, {.kind = engine::NormKind::l2, .weight = ones, .eps = 1e-30, .groups = groups},
                      x.dtype());
}

Tensor sphere_step(const Tensor& h, const Tensor& branch, Parameter& step, double factor) {
  const Tensor a = unit(h);
  const Tensor towards = engine::sub(engine::cast(unit(branch), a.dtype()), a);
  const Tensor size = engine::affine(absolute(use(step)), factor);
  return unit(engine::add(a, engine::mul(engine::cast(size, a.dtype()), towards)));
}

}  // namespace nn
