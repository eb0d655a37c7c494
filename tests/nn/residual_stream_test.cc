// The residual stream: a fused join and norm gives what the composed ops give, forward and backward, and the
// stream goes on as it should. Read first: nn/residual_stream.h.
#include "nn/residual_stream.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/ops/elementwise.h"
#include "engine/ops/reduce.h"
#include "largest_gap.h"

using namespace engine;

namespace {

constexpr int64_t d = 24;

Tensor normal(const Shape& shape, uint64_t seed) {
  Rng rng{seed};
  std::vector<double> values(size_t(shape.numel()));
  for (double& v : values) v = rng.normal();
  return Tensor::from(values, shape);
}

}  // namespace

TEST_CASE("residual stream: the fused join and norm equal the composed ops") {
  const nn::Precision f64 = nn::Precision::of(DType::f64);
  nn::Parameters parameters({{"n_norm.weight", {d}, nn::ParameterGroup::norm},
                             {"n_norm.bias", {d}, nn::ParameterGroup::norm},
                             {"res_scale", {d}, nn::ParameterGroup::gain},
                             {"branch_scale", Shape{}, nn::ParameterGroup::gain}},
                            f64, nn::Gradients::allocated);
  for (Parameter* p : parameters.all()) p->value.copy_from(normal(p->value.shape(), p->name.size()));
  const nn::Scope root{&parameters, ""};
  const nn::NormLayer norm({nn::NormKind::ln}, root.sub("n_norm"), {});
  const nn::ScaleLayer res({nn::ScaleKind::vector, 1}, root, "res_scale", root),
      branch({nn::ScaleKind::scalar, 1}, root, "branch_scale", root);

  // y = norm(join) . c1 + join . c2, by the stream and by hand.
  const Tensor c1 = normal({3, 5, d}, 31), c2 = normal({3, 5, d}, 32);
  const auto differentiate = [&](bool fused) {
    Tensor x = normal({3, 5, d}, 21), o = normal({3, 5, d}, 22);
    Tape tape;
    parameters.clear_gradients();
    Tensor normed, joined;
    {
      const TapeScope scope(tape);
      tape.watch(x), tape.watch(o);
      Rng rng{9};
      if (fused) {
        nn::ResidualStream stream(x);
        stream.leave(o, {.res = res.scale(), .branch = branch.scale(), .dropout = 0.25, .rng = &rng});
        normed = stream.read(norm, DType::f64);
        joined = stream.joined();
      } else {
        const Tensor kept = dropout(o, 0.25, rng);
        joined = add(mul(x, use(parameters["res_scale"])), mul(kept, use(parameters["branch_scale"])));
        normed = norm(joined, DType::f64);
      }
      tape.backward(sum_all(add(mul(normed, c1), mul(joined, c2))));
    }
    parameters.complete_gradients();
    std::vector<Tensor> all = {normed, joined, tape.gradient(x), tape.gradient(o)};
    for (const Parameter* p : parameters.all())
      all.push_back(Tensor::from(p->grad.to_vector(), p->grad.shape()));
    return all;
  };
  const std::vector<Tensor> fused = differentiate(true), composed = differentiate(false);
  for (size_t i = 0; i < fused.size(); ++i) {
    INFO("result " << i);
    CHECK(largest_gap(fused[i], composed[i]) < 1e-12);
  }
}

TEST_CASE("residual stream: what is pending joins once, in order") {
  const Tensor x = normal({2, d}, 1), a = normal({2, d}, 2), b = normal({2, d}, 3);
  nn::ResidualStream stream(x);
  CHECK(largest_gap(stream.joined(), x) == 0);
  stream.leave(a, {});
  stream.leave(b, {.res = {2.0, {}}});  // joins a first
  CHECK(largest_gap(stream.joined(), add(affine(add(x, a), 2), b)) < 1e-15);
  CHECK(largest_gap(stream.joined(), add(affine(add(x, a), 2), b)) < 1e-15);  // and only once
  stream.leave(a, {});
  stream.replace(b);  // drops what was pending
  CHECK(largest_gap(stream.joined(), b) == 0);
}
